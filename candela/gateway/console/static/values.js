// The values or attributes of layers where the map was clicked, by WMS GetFeatureInfo.
function request(map, point, { name, wms, time }) {
  const size = map.getSize();
  const project = (corner) => map.options.crs.project(map.containerPointToLatLng(corner));
  const [lower, upper] = [project([0, size.y]), project([size.x, 0])];
  const query = new URLSearchParams({
    service: "WMS", version: "1.3.0", request: "GetFeatureInfo", layers: name, query_layers: name,
    styles: "", crs: "EPSG:3857", bbox: [lower.x, lower.y, upper.x, upper.y].join(","),
    width: size.x, height: size.y, i: Math.round(point.x), j: Math.round(point.y),
    info_format: "application/json", ...(time && { time }),
  });
  return `${wms}?${query}`;
}

function say(value) {
  // Text stays as it is: 01234 and 0x1F are codes.
  if (value === null || value === undefined || value === "" || value === "NaN") return "no data";
  if (typeof value === "string" || Number.isInteger(value)) return String(value);
  return String(Number(value.toPrecision(Math.abs(value) < 1000 ? 4 : 7)));
}

async function tableOf(map, point, info) {
  const table = document.createElement("table");
  const answer = await fetch(request(map, point, info));
  const [feature] = (await answer.json()).features;
  const isRaster = info.bands.length > 0;
  if (!isRaster) table.className = "attributes";
  for (const name of isRaster ? info.bands : info.attributes) {
    const row = table.insertRow();
    row.append(document.createElement("th"));
    row.firstChild.textContent = name;
    row.insertCell().textContent = say(feature?.properties[name]);
  }
  return table;
}

export async function valuesAt(map, { latlng, containerPoint }, infos) {
  const box = document.createElement("div");
  box.append(`${latlng.lat.toFixed(5)}, ${latlng.lng.toFixed(5)}`);
  const tables = await Promise.allSettled(infos.map((info) => tableOf(map, containerPoint, info)));
  infos.forEach((info, index) => {
    const title = document.createElement("h3");
    title.textContent = [info.title, info.time?.slice(0, 10)].filter(Boolean).join(", ");
    box.append(title, tables[index].value ?? "cannot be asked");
  });
  return box;
}
