// Draws curves on a canvas, where new numbers come every second. Streamlit makes its own charts anew whenever their numbers change, and a
// zoom, a drag or what is read under the pointer is lost with them; here the same canvas is drawn again. A zoom holds for all charts of a view.

const zooms = new Map(); // view: [low, high]
const charts = new Set();
const LEFT = 50, RIGHT = 10, HEAD = 20, FOOT = 18;
const DASHES = { solid: [], dash: [6, 4], dot: [2, 3], dashdot: [6, 3, 2, 3] };

export default function ({ data, parentElement }) {
  const chart = (parentElement.chart ??= new Chart(parentElement));
  chart.show(data);
  return () => charts.delete(chart);
}

class Chart {
  constructor(root) {
    this.legend = root.querySelector(".legend");
    this.place = root.querySelector(".place");
    this.canvas = root.querySelector("canvas");
    this.tip = root.querySelector(".tip");
    new ResizeObserver(() => this.draw()).observe(this.place);
    this.canvas.addEventListener("pointerdown", (event) => this.press(event));
    this.canvas.addEventListener("pointermove", (event) => this.move(event));
    this.canvas.addEventListener("pointerup", (event) => this.release(event));
    this.canvas.addEventListener("pointercancel", () => this.leave());
    this.canvas.addEventListener("pointerleave", () => this.leave());
    this.canvas.addEventListener("dblclick", () => this.zoom(null));
  }

  show(sent) {
    charts.add(this);
    const data = (this.data = decoded(sent));
    this.place.style.height = `${data.height}px`;
    this.canvas.setAttribute("aria-label", data.alt);
    this.legend.hidden = !data.legend;
    this.legend.replaceChildren(...data.parts.flatMap((part) => part.lines.filter((line) => line.legend).map(entry)));
    this.draw();
  }

  range() {
    const [low, high] = zooms.get(this.data.view) ?? this.data.range;
    return low < high ? [low, high] : [low - 0.5, high + 0.5];
  }

  zoom(range) {
    range ? zooms.set(this.data.view, range) : zooms.delete(this.data.view);
    for (const chart of charts) if (chart.data.view === this.data.view) chart.draw();
  }

  draw() {
    const width = this.place.clientWidth, height = this.data.height, ratio = window.devicePixelRatio || 1;
    if (!width) return;
    Object.assign(this.canvas, { width: width * ratio, height: height * ratio });
    const pen = this.canvas.getContext("2d"), style = getComputedStyle(this.place);
    pen.scale(ratio, ratio);
    pen.font = `11px ${style.fontFamily}`;
    const [low, high] = this.range(), count = this.data.parts.length;
    const each = (height - FOOT) / count, across = width - LEFT - RIGHT;
    const toX = (step) => LEFT + ((step - low) / (high - low)) * across;
    this.area = { low, high, across, toX };
    const ink = { pen, text: style.color, toX, low, high, width, height };
    this.data.parts.forEach((part, number) => drawPart(ink, part, number * each + HEAD, each - HEAD - (number < count - 1 ? 6 : 0)));
    drawSteps(ink);
    for (const step of this.data.resumed) upright(ink, step, [4, 3], style.color, 0.35);
    for (const [step] of this.data.marks) upright(ink, step, [2, 3], "#D55E00", 1, "⚠");
    this.over(pen);
    const last = this.data.parts[0].lines[0].x.at(-1);
    Object.assign(this.canvas.dataset, { low, high, last }); // for who looks from outside: what is drawn
  }

  // the pointer: reading, and dragging a range

  step(event) {
    const { left } = this.canvas.getBoundingClientRect(), { low, high, across } = this.area;
    return Math.min(high, Math.max(low, low + ((event.clientX - left - LEFT) / across) * (high - low)));
  }

  press(event) {
    if (event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.from = this.to = this.step(event);
  }

  move(event) {
    this.at = this.step(event);
    if (this.from !== undefined) this.to = this.at;
    this.draw();
    this.read(event);
  }

  release(event) {
    const ends = [this.from, this.to].sort((a, b) => a - b), drawn = Math.abs(this.area.toX(ends[1]) - this.area.toX(ends[0]));
    this.from = this.to = undefined;
    drawn > 6 ? this.zoom(ends) : this.draw();
  }

  leave() {
    if (this.from !== undefined && this.canvas.matches(":active")) return;
    this.at = this.from = this.to = undefined;
    this.tip.hidden = true;
    this.draw();
  }

  over(pen) {
    const { toX } = this.area, bottom = this.data.height - FOOT;
    if (this.from !== undefined) {
      pen.fillStyle = "#80808040";
      pen.fillRect(toX(this.from), 0, toX(this.to) - toX(this.from), bottom);
    } else if (this.at !== undefined) {
      pen.fillStyle = "#80808080";
      pen.fillRect(toX(this.at), 0, 1, bottom);
    }
  }

  read(event) {
    const lines = this.data.parts.flatMap((part) => part.lines.filter((line) => line.legend && line.x.length).map((line) => [part, line]));
    const whole = this.data.whole, near = lines.map(([, line]) => line.x[nearest(line.x, this.at)]);
    const best = near.reduce((a, b) => (Math.abs(a - this.at) <= Math.abs(b - this.at) ? a : b), near[0] ?? this.at);
    const rows = lines.map(([part, line], number) => {
      const row = entry(line), place = nearest(line.x, this.at), text = document.createElement("b");
      const ends = line.low ? ` (${say(line.low[place], part)} to ${say(line.high[place], part)})` : "";
      text.textContent = ` ${say(line.y[place], part)}${ends}${near[number] === best ? "" : ` at ${say(near[number], { format: "number" })}`}`;
      row.append(text);
      return row;
    });
    const head = document.createElement("div");
    head.textContent = `${this.data.unit} ${whole ? best.toLocaleString("en-US") : say(best, { format: "number" })}`;
    const marked = this.data.marks.filter(([step]) => Math.abs(this.area.toX(step) - this.area.toX(this.at)) < 8);
    const notes = marked.map(([step, words]) => Object.assign(document.createElement("div"), { textContent: `⚠ step ${step}: ${words}` }));
    this.tip.replaceChildren(head, ...rows, ...notes);
    this.tip.hidden = false;
    const { left, width } = this.place.getBoundingClientRect(), x = event.clientX - left;
    this.tip.style.cssText = x < width / 2 ? `left:${x + 14}px` : `right:${width - x + 14}px`;
  }
}

function drawPart(ink, part, top, height) {
  const { pen, toX, low, high, width } = ink, log = part.log ? Math.log10 : (value) => value;
  const [least, most] = reach(part, low, high, log);
  const toY = (value) => top + height - ((log(value) - least) / (most - least)) * height;
  pen.fillStyle = ink.text;
  pen.globalAlpha = 0.75;
  pen.textAlign = "left";
  pen.fillText(part.unit, 0, top - 9);
  pen.textAlign = "right";
  for (const tick of ticks(least, most, height / 26)) {
    const y = top + height - ((tick - least) / (most - least)) * height;
    pen.fillText(say(part.log ? 10 ** tick : tick, part), LEFT - 6, y + 4);
    rule(ink, LEFT, y, width - RIGHT, y, [], ink.text, 0.15);
  }
  pen.save();
  pen.beginPath();
  pen.rect(LEFT, top - 2, width - LEFT - RIGHT, height + 4);
  pen.clip();
  for (const [level, colour] of part.levels) rule(ink, LEFT, toY(level), width - RIGHT, toY(level), [2, 3], colour, 1);
  for (const line of part.lines) {
    if (line.low) fill(pen, line, toX, toY);
  }
  for (const line of part.lines) stroke(pen, line, toX, toY);
  pen.restore();
}

function reach(part, low, high, log) {
  let least = Infinity, most = -Infinity;
  for (const line of part.lines) {
    for (const values of [line.y, line.low, line.high]) {
      values?.forEach((value, place) => {
        const seen = log(value);
        if (line.x[place] < low || line.x[place] > high || !Number.isFinite(seen)) return;
        least = Math.min(least, seen);
        most = Math.max(most, seen);
      });
    }
  }
  if (least > most) return [0, 1];
  const room = most > least ? 0.05 * (most - least) : 0.05 * Math.abs(most) || 0.5;
  return [least - room, most + room];
}

function drawSteps(ink) {
  const { pen, toX, low, high, width, height } = ink;
  pen.fillStyle = ink.text;
  pen.globalAlpha = 0.75;
  pen.textAlign = "center";
  for (const tick of ticks(low, high, width / 70)) pen.fillText(say(tick, { format: "number" }), toX(tick), height - 5);
  pen.globalAlpha = 1;
}

function fill(pen, line, toX, toY) {
  pen.beginPath();
  line.x.forEach((step, place) => pen.lineTo(toX(step), toY(line.high[place])));
  for (let place = line.x.length - 1; place >= 0; place--) pen.lineTo(toX(line.x[place]), toY(line.low[place]));
  pen.globalAlpha = 1;
  pen.fillStyle = `${line.colour.slice(0, 7)}2E`;
  pen.fill();
}

function stroke(pen, line, toX, toY) {
  pen.globalAlpha = 1;
  pen.beginPath();
  let down = false; // a step without a value is a gap
  line.x.forEach((step, place) => {
    const there = Number.isFinite(line.y[place]);
    if (there) down ? pen.lineTo(toX(step), toY(line.y[place])) : pen.moveTo(toX(step), toY(line.y[place]));
    down = there;
  });
  pen.setLineDash(DASHES[line.dash]);
  pen.strokeStyle = pen.fillStyle = line.colour;
  pen.lineWidth = line.width;
  pen.lineJoin = "round";
  pen.stroke();
  pen.setLineDash([]);
  if (!line.points) return;
  line.x.forEach((step, place) => {
    pen.beginPath();
    pen.arc(toX(step), toY(line.y[place]), 2.5, 0, 7);
    pen.fill();
  });
}

function rule({ pen }, x, y, toX, toY, dash, colour, alpha) {
  pen.beginPath();
  pen.setLineDash(dash);
  Object.assign(pen, { strokeStyle: colour, lineWidth: 1, globalAlpha: alpha });
  pen.moveTo(x, y);
  pen.lineTo(toX, toY);
  pen.stroke();
  pen.setLineDash([]);
  pen.globalAlpha = 0.75;
}

function upright(ink, step, dash, colour, alpha, sign) {
  const { pen, toX, low, high, height } = ink;
  if (step < low || step > high) return;
  rule(ink, toX(step), HEAD - 6, toX(step), height - FOOT, dash, colour, alpha);
  if (!sign) return;
  Object.assign(pen, { fillStyle: colour, globalAlpha: 1, textAlign: "center" });
  pen.fillText(sign, toX(step), HEAD - 9);
}

function entry(line) {
  const row = document.createElement("span"), swatch = document.createElement("i");
  const style = { solid: "solid", dash: "dashed", dot: "dotted", dashdot: "dashed" }[line.dash];
  swatch.style.borderTop = `2px ${style} ${line.colour}`;
  row.append(swatch, line.name);
  return row;
}

function ticks(low, high, most) {
  const rough = (high - low) / Math.max(2, most), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((one) => one >= rough), found = [];
  for (let number = Math.ceil(low / step); number * step <= high; number++) found.push(number * step + 0); // never -0
  return found;
}

function say(value, { format }) {
  if (!Number.isFinite(value)) return "–";
  if (format === "percent") return `${(100 * value).toFixed(Math.abs(value * 100) % 1 < 0.05 ? 0 : 1)} %`;
  if (format === "exponent" && value) return value.toExponential(1).replace(".0e", "e");
  if (value && Math.abs(value) < 1e-4) return Number(value.toPrecision(4)).toExponential(); // else there is no room for its zeros
  return value.toLocaleString("en-US", { maximumSignificantDigits: 5 });
}

function nearest(steps, at) {
  let low = 0, high = steps.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    steps[middle] < at ? (low = middle + 1) : (high = middle);
  }
  return low > 0 && at - steps[low - 1] < steps[low] - at ? low - 1 : low;
}

// What was sent stays as it is: with another theme it is shown once more.
function decoded(data) {
  const steps = data.whole ? Int32Array : Float32Array, values = (text) => text && new Float32Array(bytes(text));
  const line = (one) => ({ ...one, x: new steps(bytes(one.x)), y: values(one.y), low: values(one.low), high: values(one.high) });
  return { ...data, parts: data.parts.map((part) => ({ ...part, lines: part.lines.map(line) })) };
}

function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
}
