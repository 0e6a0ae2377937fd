// The values or attributes of layers where the map was clicked, by WMS GetFeatureInfo.
function request(map, point, { name, wms, time }) {
  const size = map.getSize();
  const project = (corner) => map.options.crs.project(map.containerPointToLatLng(corner));
  const [lower, upper] = [project([0, size.y]), project([size.x, 0])];
  const query = new URLSearchParams({
    service: "WMS", version: "1.3.0", request: "GetFeatureInfo", layers: name, query_layers: name,
    styles: "", crs: "EPSG:3857", bbox: [lower.x, lower.y, upper.x, upper.y].join(","),
    width: size.x, height: size.y, i: Math.round(point.x), j: Math.round(point.y),
    info_format: "application/vnd.ogc.gml", ...(time && { time }),
  });
  return `${wms}?${query}`;
}

const GML = "http://www.opengis.net/gml";
const LONG_DECIMAL = /^-?(0|[1-9]\d*)\.\d{5,}$/;

function sayAttribute(value) {
  // Text stays as it is: 01234 and 0x1F are codes. Only what is surely a measure is shortened.
  if (value === undefined || value.trim() === "") return "no data";
  return LONG_DECIMAL.test(value) ? String(Number(Number(value).toPrecision(4))) : value;
}

function sayBand(value) {
  const number = Number(value);
  if (value === undefined || value.trim() === "" || Number.isNaN(number)) return "no data";
  return Number.isInteger(number) ? String(number) : number.toPrecision(4);
}

function valueOf(gml, name) {
  // The feature's own element: gml:name is the title of the layer.
  const found = [...gml.getElementsByTagNameNS("*", name)];
  return found.find((element) => !element.namespaceURI?.startsWith(GML))?.textContent;
}

async function tableOf(map, point, info) {
  const table = document.createElement("table");
  const answer = await fetch(request(map, point, info));
  const gml = new DOMParser().parseFromString(await answer.text(), "text/xml");
  const isRaster = info.bands.length > 0;
  if (!isRaster) table.className = "attributes";
  for (const name of isRaster ? info.bands : info.attributes) {
    const value = valueOf(gml, name);
    const row = table.insertRow();
    row.append(document.createElement("th"));
    row.firstChild.textContent = name;
    row.insertCell().textContent = isRaster ? sayBand(value) : sayAttribute(value);
  }
  return table;
}

export async function valuesAt(map, { latlng, containerPoint }, infos) {
  const box = document.createElement("div");
  box.append(`${latlng.lat.toFixed(5)}, ${latlng.lng.toFixed(5)}`);
  const tables = await Promise.allSettled(infos.map((info) => tableOf(map, containerPoint, info)));
  infos.forEach((info, index) => {
    const title = document.createElement("h3");
    title.textContent = info.title;
    box.append(title, tables[index].value ?? "cannot be asked");
  });
  return box;
}
