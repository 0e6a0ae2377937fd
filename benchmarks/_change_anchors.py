"""Classical change detectors, for comparison: from two images to a score of 0 to 1 per pixel.

Each takes both dates as arrays of shape (bands, rows, cols), float, all pixels valid, and cuts its
own score by Otsu's rule: the cut lies at 0.5.
"""

import cv2
import numpy as np

CELIK_BLOCK, CELIK_COMPONENTS = 5, 3
IRMAD_PASSES, IRMAD_STOP = 50, 1e-3
SIROC_RINGS = tuple((inner, inner + 8) for inner in (1, 3, 5, 9, 13))  # pixels: excluded, reach


def standardised(image: np.ndarray) -> np.ndarray:
    return (image - image.mean((1, 2), keepdims=True)) / image.std((1, 2), keepdims=True)


def cut_by_otsu(score: np.ndarray) -> np.ndarray:
    """Bring a score that is not negative to 0..1, with Otsu's cut at 0.5."""
    levels = np.clip(score / np.percentile(score, 99.9) * 255, 0, 255)
    cut, _ = cv2.threshold(levels.astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
    return levels / np.maximum(levels + cut, 1.0)


def change_vector(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Change vector analysis: the length of the standardised difference."""
    return cut_by_otsu(np.linalg.norm(standardised(after) - standardised(before), axis=0))


def celik(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """PCA and k-means on blocks of the difference (Celik 2009, 10.1109/LGRS.2009.2025059)."""
    length = np.linalg.norm(standardised(after) - standardised(before), axis=0)
    padded = np.pad(length, CELIK_BLOCK // 2, mode="symmetric")
    blocks = np.lib.stride_tricks.sliding_window_view(padded, (CELIK_BLOCK, CELIK_BLOCK))
    vectors = blocks.reshape(-1, CELIK_BLOCK**2)
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    features = (centred @ axes[:, -CELIK_COMPONENTS:]).astype(np.float32)
    cv2.setRNGSeed(0)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 100, 1e-4)
    _, labels, centres = cv2.kmeans(features, 2, None, stop, 5, cv2.KMEANS_PP_CENTERS)
    lengths = [length.ravel()[labels.ravel() == label].mean() for label in (0, 1)]
    gaps = [np.linalg.norm(features - centre, axis=1) for centre in centres]
    near = gaps[1 - int(np.argmax(lengths))] / np.maximum(gaps[0] + gaps[1], 1e-9)
    return near.reshape(length.shape)


def irmad(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Find what is least correlated, reweighted (IR-MAD, Nielsen 2007, 10.1109/TIP.2006.888195)."""
    from scipy.stats import chi2

    bands = len(before)
    both = np.concatenate([standardised(before), standardised(after)]).reshape(2 * bands, -1)
    weights, known = np.ones(both.shape[1]), np.zeros(bands)
    for _ in range(IRMAD_PASSES):
        centred = both - np.average(both, axis=1, weights=weights)[:, None]
        covariance = (centred * weights) @ centred.T / weights.sum()
        first, mixed, second = (
            covariance[:bands, :bands],
            covariance[:bands, bands:],
            covariance[bands:, bands:],
        )
        roots = [np.linalg.inv(np.linalg.cholesky(part)) for part in (first, second)]
        left, correlations, right = np.linalg.svd(roots[0] @ mixed @ roots[1].T)
        variates = left.T @ roots[0] @ centred[:bands] - right @ roots[1] @ centred[bands:]
        squares = (variates**2 / (2 * (1 - correlations) + 1e-9)[:, None]).sum(axis=0)
        weights = chi2.sf(squares, bands)
        if np.abs(correlations - known).max() < IRMAD_STOP:
            break
        known = correlations
    return cut_by_otsu(np.sqrt(squares).reshape(before.shape[1:]))


def siroc_like(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Predict each pixel from rings around it, by the earlier date's law.

    A short form of SiROC (Kondmann et al. 2022, 10.1109/TGRS.2021.3130842): rings of several sizes
    vote; the law is one line per band and ring.
    """
    votes = []
    for inner, reach in SIROC_RINGS:
        error = np.zeros(before.shape[1:])
        for first, second in zip(standardised(before), standardised(after), strict=True):
            near, far = (ring_mean(image, inner, reach) for image in (first, second))
            slope, level = np.polyfit(near.ravel(), first.ravel(), 1)
            # what differs from the law now, beyond what differed before
            error += np.abs((second - slope * far - level) - (first - slope * near - level))
        votes.append(cut_by_otsu(error))
    return np.mean(votes, axis=0)


def ring_mean(image: np.ndarray, inner: int, reach: int) -> np.ndarray:
    """Return the mean over a square ring around each pixel."""
    sums, counts = [], []
    for radius in (reach, inner):
        side = 2 * radius + 1
        sums.append(cv2.boxFilter(image, -1, (side, side), normalize=False))
        counts.append(side * side)
    return (sums[0] - sums[1]) / (counts[0] - counts[1])
