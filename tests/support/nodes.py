"""The processes of a cluster that runs on this machine: its own programs, and its containers."""

from collections.abc import Iterator
from pathlib import Path

import psutil
from clusters import Cluster


def program(cluster: Cluster, name: str) -> list[psutil.Process]:
    """Return the process of one of the cluster's programs, such as ``kubelet``."""
    workdir = str(cluster.kubeconfig.parent)
    return [
        process
        for process, words in _processes()
        if Path(words[0]).name == name and any(word.startswith(workdir) for word in words)
    ]


def containers(module: str = "", *, pod: str = "") -> list[psutil.Process]:
    """Return the processes in containers.

    Parameters
    ----------
    module : str, optional
        Those that run this Python module.
    pod : str, optional
        Those of the pod with this uid.
    """
    return [
        process
        for process, words in _processes()
        if (not module or module in words[:3]) and _is_contained(process.pid, pod)
    ]


def _is_contained(pid: int, pod: str) -> bool:
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:  # it has ended
        return False
    return "kubepods" in groups and f"/pod{pod}" in groups


def kill(processes: list[psutil.Process], which: float) -> bool:
    """Kill one of some processes, 0 to 1; tell whether there was one."""
    if not processes:
        return False
    try:
        processes[int(which * len(processes))].kill()
    except psutil.NoSuchProcess:
        return False
    return True


def restart_node(cluster: Cluster) -> None:
    """Let the node lose all that runs on it at once, as at a reboot; it comes back by itself."""
    held = cluster.kubeconfig.parent / "hold"
    for name in ("kubelet", "containerd"):
        (held / name).touch()
    try:
        victims = [*program(cluster, "kubelet"), *program(cluster, "containerd"), *_shims(cluster)]
        for process in [*victims, *containers()]:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
    finally:
        for name in ("containerd", "kubelet"):
            (held / name).unlink()


def _shims(cluster: Cluster) -> list[psutil.Process]:
    """Return the parents of containers."""
    socket = str(cluster.kubeconfig.parent / "containerd.sock")
    return [
        process
        for process, words in _processes()
        if Path(words[0]).name.startswith("containerd-shim") and any(socket in w for w in words)
    ]


def _processes() -> Iterator[tuple[psutil.Process, list[str]]]:
    """Yield all processes with their command lines; not those of the kernel."""
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if words:
            yield process, words
