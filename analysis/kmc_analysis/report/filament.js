// The filament in three dimensions: own projection on a canvas, no library, no network.
"use strict";
(() => {
  const runs = JSON.parse(document.getElementById("filament-data").textContent);
  const element = (id) => document.getElementById(id);
  const canvas = element("filament-view"), slider = element("filament-time"), chooser = element("filament-run");
  const play = element("filament-play"), told = element("filament-told"), strip = element("filament-trace");
  const INK = "#1f2933", LINE = "#9aa5b1", METAL = "#52606d", ION = "#d9822b", MARK = "#c2334d";
  const START = { yaw: 0.6, pitch: 0.25, zoom: 1 };
  const view = { ...START };
  let run, changes, sites, shown, timer = 0, asked = false;

  const decoded = (text) =>
    new Uint32Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);

  function ball(colour, radius) {
    const picture = document.createElement("canvas");
    picture.width = picture.height = 2 * radius;
    const pen = picture.getContext("2d");
    const shade = pen.createRadialGradient(0.7 * radius, 0.7 * radius, 0.1 * radius, radius, radius, radius);
    shade.addColorStop(0, "#ffffff");
    shade.addColorStop(0.35, colour);
    shade.addColorStop(1, colour);
    pen.fillStyle = shade;
    pen.beginPath();
    pen.arc(radius, radius, radius, 0, 7);
    pen.fill();
    return picture;
  }
  const BALLS = [null, ball(ION, 16), ball(METAL, 16)];

  function choose(index) {
    run = runs[index];
    changes = run.changes.map(decoded);
    shown = -1;
    slider.max = changes.length - 1;
    slider.value = 0;
    show(0);
  }

  function show(frame) {
    if (frame < shown || shown < 0) {
      sites = new Map();
      shown = -1;
    }
    while (shown < frame) {
      shown += 1;
      for (const code of changes[shown]) {
        const site = Math.floor(code / 4), kind = code % 4;
        if (kind) sites.set(site, kind); else sites.delete(site);
      }
    }
    let metal = 0;
    for (const kind of sites.values()) metal += kind === 2;
    const text = `${unit(run.times[frame], "s")}, ${unit(run.voltages[frame], "V")}, ` +
      `${unit(run.currents[frame], "A")}: ${metal} silver atoms, ${sites.size - metal} silver ions`;
    told.textContent = text;
    slider.setAttribute("aria-valuetext", text);
    ask();
  }

  function unit(value, symbol) {
    if (!value) return `0 ${symbol}`;
    const power = Math.max(-15, Math.min(6, 3 * Math.floor(Math.log10(Math.abs(value)) / 3 + 1e-9)));
    const prefix = { "-15": "f", "-12": "p", "-9": "n", "-6": "µ", "-3": "m", 0: "", 3: "k", 6: "M" }[power];
    return `${Number((value / 10 ** power).toPrecision(3))} ${prefix}${symbol}`;
  }

  function ask() {
    if (!asked) {
      asked = true;
      requestAnimationFrame(draw);
    }
  }

  // A pen for a canvas as large as it is shown.
  function fitted(place) {
    const ratio = window.devicePixelRatio || 1;
    const width = place.clientWidth, height = place.clientHeight;
    if (place.width !== Math.round(width * ratio) || place.height !== Math.round(height * ratio)) {
      place.width = Math.round(width * ratio);
      place.height = Math.round(height * ratio);
    }
    const pen = place.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    return { pen, width, height };
  }

  function projector(width, height) {
    const [nz, ny, nx] = run.shape, step = run.spacing;
    const size = [nx * step, ny * step, nz * step];
    const scale = view.zoom * Math.min(width / (1.3 * Math.hypot(size[0], size[1])),
      height / (1.05 * (size[2] * Math.cos(view.pitch) + Math.hypot(size[0], size[1]) * Math.sin(Math.abs(view.pitch)))));
    const [ca, sa, cb, sb] = [Math.cos(view.yaw), Math.sin(view.yaw), Math.cos(view.pitch), Math.sin(view.pitch)];
    const project = (x, y, z) => {
      const [u, v, w] = [x - size[0] / 2, y - size[1] / 2, z - size[2] / 2];
      const across = u * ca - v * sa, away = u * sa + v * ca;
      return [width / 2 + scale * across, height / 2 - scale * (w * cb + away * sb), away * cb - w * sb];
    };
    return { size, scale, project };
  }

  function outline(pen, space) {
    const [a, b] = space.size, corners = [[0, 0], [a, 0], [a, b], [0, b]];
    const edges = [...new Set(run.layers.flatMap((layer) => [layer.from, layer.to]))];
    for (const z of edges.length ? edges : [0, space.size[2]]) {
      pen.beginPath();
      corners.forEach(([x, y]) => pen.lineTo(...space.project(x, y, z).slice(0, 2)));
      pen.closePath();
      pen.stroke();
    }
    for (const [x, y] of corners) {
      pen.beginPath();
      pen.moveTo(...space.project(x, y, 0).slice(0, 2));
      pen.lineTo(...space.project(x, y, space.size[2]).slice(0, 2));
      pen.stroke();
    }
  }

  function names(pen, space, width) {
    const corners = [[0, 0], [space.size[0], 0], [space.size[0], space.size[1]], [0, space.size[1]]];
    pen.fillStyle = INK;
    pen.font = "13px sans-serif";
    for (const layer of run.layers) {
      const places = corners.map(([x, y]) => space.project(x, y, (layer.from + layer.to) / 2));
      const right = places.reduce((best, place) => (place[0] > best[0] ? place : best));
      const room = width - pen.measureText(layer.name).width - 2;
      pen.fillText(layer.name, Math.min(right[0] + 6, room), right[1] + 4);
    }
  }

  function balls(pen, space) {
    const [, ny, nx] = run.shape, step = run.spacing, all = [];
    for (const [site, kind] of sites) {
      const x = site % nx, y = Math.floor(site / nx) % ny, z = Math.floor(site / (nx * ny));
      all.push([...space.project((x + 0.5) * step, (y + 0.5) * step, (z + 0.5) * step), kind]);
    }
    all.sort((first, second) => second[2] - first[2]);
    const wide = Math.max(2, 1.15 * step * space.scale);
    for (const [x, y, , kind] of all) {
      const size = kind === 1 ? 0.8 * wide : wide;
      pen.drawImage(BALLS[kind], x - size / 2, y - size / 2, size, size);
    }
  }

  function draw() {
    asked = false;
    const { pen, width, height } = fitted(canvas);
    const space = projector(width, height);
    pen.strokeStyle = LINE;
    pen.lineWidth = 1;
    outline(pen, space);
    balls(pen, space);
    names(pen, space, width);
    trace();
  }

  // |current| against time, on a logarithmic scale, with a mark at the frame.
  function trace() {
    const { pen, width, height } = fitted(strip);
    if (!run.trace.length) return;
    const end = Math.max(run.trace[run.trace.length - 1][0], run.times[run.times.length - 1]) || 1;
    const levels = run.trace.map((point) => point[1]);
    const low = Math.min(...levels), high = Math.max(...levels, low + 1);
    const place = ([time, level]) => [(time / end) * (width - 2) + 1, height - 4 - ((level - low) / (high - low)) * (height - 8)];
    pen.strokeStyle = INK;
    pen.beginPath();
    run.trace.forEach((point) => pen.lineTo(...place(point)));
    pen.stroke();
    const [x] = place([run.times[shown], low]);
    pen.strokeStyle = MARK;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(x, 0);
    pen.lineTo(x, height);
    pen.stroke();
  }

  function turn(yaw, pitch, zoom) {
    view.yaw += yaw;
    view.pitch = Math.max(-1.5, Math.min(1.5, view.pitch + pitch));
    view.zoom = Math.max(0.3, Math.min(12, view.zoom * zoom));
    ask();
  }

  function halt() {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  }

  function forward() {
    if (shown >= changes.length - 1) return halt();
    slider.value = shown + 1;
    show(shown + 1);
  }

  const KEYS = {
    ArrowLeft: [-0.1, 0, 1], ArrowRight: [0.1, 0, 1], ArrowUp: [0, 0.1, 1], ArrowDown: [0, -0.1, 1],
    "+": [0, 0, 1.2], "=": [0, 0, 1.2], "-": [0, 0, 1 / 1.2],
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "0") Object.assign(view, START);
    else if (!KEYS[event.key]) return;
    event.preventDefault();
    turn(...(KEYS[event.key] || [0, 0, 1]));
  });
  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons) turn(event.movementX / 120, event.movementY / 120, 1);
  });
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas) return; // the page scrolls until the picture was chosen
    event.preventDefault();
    turn(0, 0, event.deltaY < 0 ? 1.1 : 1 / 1.1);
  }, { passive: false });
  slider.addEventListener("input", () => {
    halt();
    show(Number(slider.value));
  });
  play.addEventListener("click", () => {
    if (timer) return halt();
    if (shown >= changes.length - 1) show(0);
    timer = setInterval(forward, 120);
    play.textContent = "Pause";
  });
  chooser.addEventListener("change", () => {
    halt();
    choose(Number(chooser.value));
  });
  window.addEventListener("resize", ask);
  choose(0);
})();
