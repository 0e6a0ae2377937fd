// A line to drag: the layer it cuts is seen to the left of it only.
export class Divider {
  constructor(map) {
    this.map = map;
    this.share = 0.5; // of the map's width
    this.layer = undefined;
    map.createPane("divider").style.zIndex = 650; // above layers, below popups
    this.line = L.DomUtil.create("div", "divider", map.getPane("divider"));
    this.line.hidden = true;
    L.DomEvent.disableClickPropagation(this.line);
    this.line.onpointerdown = (event) => this.line.setPointerCapture(event.pointerId);
    this.line.onpointermove = (event) => {
      if (this.line.hasPointerCapture(event.pointerId)) this.moveTo(event.clientX);
    };
    map.on("move zoomend resize", () => this.update());
  }

  moveTo(clientX) {
    const box = this.map.getContainer().getBoundingClientRect();
    this.share = Math.min(1, Math.max(0, (clientX - box.left) / box.width));
    this.update();
  }

  cut(layer) {
    if (this.layer && this.layer !== layer) this.layer.getPane().style.clip = "";
    this.layer = layer;
    this.line.hidden = !layer;
    this.update();
  }

  update() {
    if (!this.layer) return;
    const size = this.map.getSize();
    const x = size.x * this.share;
    const topLeft = this.map.containerPointToLayerPoint([0, 0]);
    const bottomRight = this.map.containerPointToLayerPoint([x, size.y]);
    Object.assign(this.line.style, {
      left: `${bottomRight.x}px`, top: `${topLeft.y}px`, height: `${size.y}px`,
    });
    this.layer.getPane().style.clip =
      `rect(${topLeft.y}px, ${bottomRight.x}px, ${bottomRight.y}px, ${topLeft.x}px)`;
  }
}
