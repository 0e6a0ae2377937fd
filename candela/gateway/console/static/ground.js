// What lies below the layers: land and a graticule; no tiles of others, no internet.
const STEPS = [30, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01]; // degrees between lines
const LINE_PIXELS = 130; // between lines, at least

function label(value, isLatitude, digits) {
  const side = isLatitude ? (value < 0 ? "S" : "N") : value < 0 ? "W" : "E";
  return `${Math.abs(value).toFixed(digits)}° ${side}`;
}

function labelAt(latlng, text, anchor) {
  const icon = L.divIcon({ className: "graticule-label", html: text, iconSize: [0, 0], iconAnchor: anchor });
  return L.marker(latlng, { icon, interactive: false, keyboard: false, pane: "graticule" });
}

function drawGraticule(map, group) {
  group.clearLayers();
  const view = map.getBounds();
  const width = view.getEast() - view.getWest();
  const step = STEPS.find((size) => width / size >= map.getSize().x / LINE_PIXELS - 1) ?? STEPS.at(-1);
  const digits = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
  const style = { color: "#5b6b78", weight: 0.7, opacity: 0.45, interactive: false, pane: "graticule" };
  const [south, north] = [Math.max(-85, view.getSouth()), Math.min(85, view.getNorth())];
  const corner = map.containerPointToLatLng([8, map.getSize().y - 40]);
  for (let x = Math.ceil(view.getWest() / step); x * step < view.getEast(); x++) {
    L.polyline([[south, x * step], [north, x * step]], style).addTo(group);
    labelAt([north, x * step], label(x * step, false, digits), [-3, -3]).addTo(group);
  }
  for (let y = Math.ceil(south / step); y * step < north; y++) {
    L.polyline([[y * step, view.getWest()], [y * step, view.getEast()]], style).addTo(group);
    labelAt([y * step, corner.lng], label(y * step, true, digits), [0, 16]).addTo(group);
  }
}

export async function addGround(map, landUrl) {
  map.createPane("land").style.zIndex = 150;
  const pane = map.createPane("graticule");
  pane.style.zIndex = 160;
  pane.style.pointerEvents = "none";
  const graticule = L.layerGroup().addTo(map);
  map.on("moveend", () => drawGraticule(map, graticule));
  drawGraticule(map, graticule);
  const land = await (await fetch(landUrl)).json();
  L.geoJSON(land, {
    pane: "land", interactive: false,
    style: { color: "#a9b6a6", weight: 1, fillColor: "#eef0e6", fillOpacity: 1 },
    attribution: "Natural Earth",
  }).addTo(map);
}
