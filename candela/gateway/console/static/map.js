// The map: layers of the server by WMS, with opacity, legends, values and a line to compare with.
import { addGround } from "./ground.js";
import { Divider } from "./divider.js";
import { valuesAt } from "./values.js";

const place = document.getElementById("map");
const groups = document.getElementById("groups");
const filter = document.getElementById("filter");
const compare = document.getElementById("compare");
const FILTER_FROM = 8; // so many layers need a filter

const map = L.map(place, { zoomControl: false, maxZoom: 19, minZoom: 2, worldCopyJump: true }).setView([48, 12], 4);
map.attributionControl.setPrefix("");
L.control.zoom({ position: "topright" }).addTo(map);
L.control.scale({ imperial: false }).addTo(map);
new ResizeObserver(() => map.invalidateSize()).observe(place);
addGround(map, place.dataset.land);
const divider = new Divider(map);
const entries = []; // one for each layer, bottom to top: {document, tiles, item}

function boundsOf({ bounds: [west, south, east, north] }) {
  return L.latLngBounds([south, west], [north, east]);
}

function makeTiles(document, order) {
  const pane = map.createPane(document.name);
  pane.style.zIndex = 210 + order; // above the ground, below popups
  const tiles = L.tileLayer.wms(document.wms, {
    layers: document.name, format: "image/png", transparent: true, version: "1.3.0",
    pane: document.name, bounds: boundsOf(document), maxZoom: 19,
    attribution: "contains modified Copernicus Sentinel data",
    ...(document.time && { time: document.time }),
  });
  tiles.on("loading", () => busy(1)).on("load", () => busy(-1));
  return tiles;
}

let loading = 0;
function busy(change) {
  loading = Math.max(0, loading + change);
  document.body.classList.toggle("busy", loading > 0);
}

function show(entry, isShown) {
  if (isShown) entry.tiles.addTo(map);
  else entry.tiles.remove();
  entry.item.querySelector("input[type=checkbox]").checked = isShown;
  entry.item.querySelector(".layer-body").hidden = !isShown;
  entry.item.classList.toggle("on", isShown);
  divider.cut(topmost());
}

function shown() {
  return entries.filter((entry) => map.hasLayer(entry.tiles));
}

function topmost() {
  return compare.ariaPressed === "true" ? shown().at(-1)?.tiles : undefined;
}

function legendLine({ label, colours }) {
  const line = document.createElement("li");
  const patch = document.createElement("i");
  patch.style.background = colours.length > 1 ? `linear-gradient(90deg, ${colours.join(", ")})` : colours[0];
  line.append(patch, label);
  return line;
}

function makeItem(entry) {
  const item = document.getElementById("layer-template").content.firstElementChild.cloneNode(true);
  entry.item = item;
  const info = entry.document;
  const opacity = item.querySelector("input[type=range]");
  item.querySelector(".layer-title").textContent = info.title;
  item.querySelector(".layer-head label").title = info.abstract;
  item.querySelector(".legend").append(...info.legend.map(legendLine));
  item.querySelector(".wms").href = info.wms;
  for (const kind of ["wcs", "wfs"]) {
    const link = item.querySelector(`.${kind}`);
    if (!info[kind]) link.remove();
    else link.href = info[kind];
  }
  stepThrough(entry, item.querySelector(".times"));
  item.querySelector("input[type=checkbox]").onchange = (event) => show(entry, event.target.checked);
  item.querySelector(".zoom").onclick = () => { show(entry, true); map.fitBounds(boundsOf(info)); };
  opacity.oninput = () => {
    entry.tiles.setOpacity(opacity.value / 100);
    opacity.nextElementSibling.textContent = `${opacity.value} %`;
  };
  return item;
}

function stepThrough({ document, tiles }, control) {
  // Let the times of a series be chosen, the newest at first.
  if (!document.times) { control.remove(); return; }
  const [slider, output] = [control.querySelector("input"), control.querySelector("output")];
  const say = () => { output.textContent = document.time.replace("T00:00:00Z", "").replace("T", " "); };
  slider.max = slider.value = document.times.length - 1;
  slider.oninput = () => {
    document.time = document.times[slider.value];
    tiles.setParams({ time: document.time });
    say();
  };
  say();
}

function makeGroup(job, members) {
  const group = document.getElementById("group-template").content.firstElementChild.cloneNode(true);
  if (job === null) {
    group.querySelector("h2").textContent = "Time series";
    group.querySelector("ol").append(...members.map(makeItem));
    return group;
  }
  const link = document.createElement("a");
  const when = new Date(members[0].document.published);
  link.href = place.dataset.jobs + encodeURIComponent(job);
  link.textContent = `${members[0].document.name.split("_")[0]}, ${when.toLocaleString()}`;
  group.querySelector("h2").append(link);
  group.querySelector("ol").append(...members.toReversed().map(makeItem));
  return group;
}

function list({ layers, series }) {
  // Series lie above the layers, but what is shown at first is the newest layer.
  const documents = [...layers, ...series.map((one) => ({ ...one, time: one.times.at(-1) }))];
  documents.forEach((document, order) => {
    entries.push({ document, tiles: makeTiles(document, order), item: null });
  });
  const byJob = Map.groupBy(entries.toReversed(), (entry) => entry.document.job);
  groups.replaceChildren(...[...byJob].map(([job, members]) => makeGroup(job, members.toReversed())));
  filter.hidden = entries.length < FILTER_FROM;
}

function newest() {
  return entries.findLast(({ document }) => document.job !== null);
}

function chosen() {
  // What the address asks for (?job=...&layer=...), or else what the newest job made.
  const query = new URLSearchParams(location.search);
  const job = query.get("job") ?? (query.has("layer") ? undefined : newest()?.document.job);
  const names = query.getAll("layer");
  return entries.filter(({ document }) => document.job === job || names.includes(document.name));
}

filter.oninput = () => {
  const words = filter.value.toLowerCase().split(/\s+/);
  for (const { document, item } of entries) {
    const text = `${document.title} ${document.name} ${document.job}`.toLowerCase();
    item.hidden = !words.every((word) => text.includes(word));
  }
  for (const group of groups.querySelectorAll(".group")) {
    group.hidden = !group.querySelector(".layer:not([hidden])");
  }
};

compare.onclick = () => {
  compare.ariaPressed = String(compare.ariaPressed !== "true");
  divider.cut(topmost());
};

map.on("click", async (event) => {
  const here = shown().filter(({ document }) => boundsOf(document).contains(event.latlng));
  if (here.length === 0) return;
  const size = map.getSize();
  const room = { maxWidth: Math.min(420, size.x - 110), maxHeight: Math.min(320, size.y - 90) };
  // The buttons to zoom stay free.
  const popup = L.popup({ ...room, autoPanPaddingTopLeft: [12, 12], autoPanPaddingBottomRight: [56, 12] });
  popup.setLatLng(event.latlng).setContent("…").openOn(map);
  popup.setContent(await valuesAt(map, event, here.toReversed().map((entry) => entry.document)));
});

try {
  const answer = await fetch(place.dataset.layers);
  if (!answer.ok) throw new Error(answer.statusText);
  list(await answer.json());
  const first = chosen();
  first.forEach((entry) => show(entry, true));
  map.invalidateSize(); // on a phone the list takes its room from the map
  const box = first.reduce((all, entry) => all.extend(boundsOf(entry.document)), L.latLngBounds([]));
  if (box.isValid()) map.fitBounds(box, { animate: false });
  if (entries.length === 0) groups.innerHTML = '<p class="empty">No layer yet. Results of processes that make images appear here.</p>';
} catch (error) {
  groups.innerHTML = '<p class="empty">The list of layers cannot be loaded.</p>';
}
