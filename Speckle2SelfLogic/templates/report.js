(() => {
  "use strict";
  document.documentElement.classList.add("js");
  const within = (value, low, high) => Math.min(high, Math.max(low, value));

  // One stage: two layers, a divider that a pointer or the range input moves, magnification and its centre.
  function makeStage(stage) {
    const range = stage.querySelector(".split");
    const view = { split: 50, zoom: 1, x: 0.5, y: 0.5 };
    const titles = ["", ""];

    function draw() {
      const half = 0.5 / view.zoom;
      view.x = within(view.x, half, 1 - half);
      view.y = within(view.y, half, 1 - half);
      stage.style.setProperty("--split", `${view.split}%`);
      stage.style.setProperty("--zoom", view.zoom);
      stage.style.setProperty("--x", `${(0.5 - view.x * view.zoom) * 100}%`);
      stage.style.setProperty("--y", `${(0.5 - view.y * view.zoom) * 100}%`);
      stage.classList.toggle("magnified", view.zoom > 1);
      const left = Math.round(view.split);
      range.setAttribute("aria-valuetext", `${left} percent ${titles[0]}, ${100 - left} percent ${titles[1]}`);
    }

    function moveDivider(event, box) {
      view.split = within((100 * (event.clientX - box.left)) / box.width, 0, 100);
      range.value = Math.round(view.split);
    }

    let drag = null;
    stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const box = stage.getBoundingClientRect();
      const dividerX = box.left + (box.width * view.split) / 100;
      const panning = view.zoom > 1 && Math.abs(event.clientX - dividerX) > 28;
      drag = { panning, clientX: event.clientX, clientY: event.clientY, x: view.x, y: view.y };
      stage.setPointerCapture(event.pointerId);
      range.focus({ preventScroll: true });
      event.preventDefault();
      if (!panning) moveDivider(event, box);
      draw();
    });
    stage.addEventListener("pointermove", (event) => {
      if (!drag) return;
      const box = stage.getBoundingClientRect();
      if (drag.panning) {
        view.x = drag.x - (event.clientX - drag.clientX) / (box.width * view.zoom);
        view.y = drag.y - (event.clientY - drag.clientY) / (box.height * view.zoom);
      } else moveDivider(event, box);
      draw();
    });
    for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => { drag = null; });

    range.addEventListener("input", () => { view.split = Number(range.value); draw(); });
    range.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      const step = steps[event.key];
      if (!event.shiftKey || !step || view.zoom === 1) return;
      event.preventDefault();
      view.x += (0.1 * step[0]) / view.zoom;
      view.y += (0.1 * step[1]) / view.zoom;
      draw();
    });
    draw();
    return {
      setZoom(zoom) { view.zoom = zoom; draw(); },
      setTitle(side, title) {
        titles[side] = title;
        stage.querySelector(side === 0 ? ".over-tag" : ".under-tag").textContent = title;
        draw();
      },
    };
  }

  const chosen = (select) => select.selectedOptions[0].textContent;

  function startPictures(viewer) {
    const pictures = [...document.querySelectorAll(`img[data-of="${viewer.dataset.pictures}"]`)];
    const stage = makeStage(viewer.querySelector(".stage"));
    const sides = [
      { select: viewer.querySelector(".over-choice"), layer: viewer.querySelector(".over") },
      { select: viewer.querySelector(".under-choice"), layer: viewer.querySelector(".under") },
    ];
    function show(side) {
      const { select, layer } = sides[side];
      const source = pictures.find((picture) => picture.dataset.key === select.value);
      const image = layer.querySelector("img") || layer.appendChild(new Image());
      image.draggable = false;
      image.alt = source.alt;
      image.src = source.src;
      stage.setTitle(side, chosen(select));
      if (side === 0) return;
      for (const picture of pictures) picture.closest(".pick").setAttribute("aria-pressed", String(picture === source));
    }
    sides.forEach(({ select }, side) => { select.addEventListener("change", () => show(side)); show(side); });
    const zoom = viewer.querySelector(".zoom");
    zoom.addEventListener("change", () => stage.setZoom(Number(zoom.value)));
    for (const picture of pictures) {
      picture.closest(".pick").addEventListener("click", () => {
        sides[1].select.value = picture.dataset.key;
        show(1);
        const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
        viewer.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
      });
    }
  }

  function startClip(viewer) {
    const clip = JSON.parse(document.getElementById(viewer.dataset.clip).textContent);
    const stage = makeStage(viewer.querySelector(".stage"));
    const play = viewer.querySelector(".play");
    const slider = viewer.querySelector(".frame");
    const output = viewer.querySelector("output");
    const tracks = clip.tracks.map((track) => track.frames.map((uri) => {
      const image = new Image();
      image.src = uri;
      return image;
    }));
    const sides = [".over", ".under"].map((name) => {
      const canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      viewer.querySelector(name).append(canvas);
      return { canvas, select: viewer.querySelector(`${name}-choice`) };
    });
    let frame = 0;
    function draw() {
      for (const { canvas, select } of sides) {
        const image = tracks[Number(select.value)][frame];
        if (!image.complete || !image.naturalWidth) {
          image.addEventListener("load", draw, { once: true });
          continue;
        }
        if (canvas.width !== image.naturalWidth) canvas.width = image.naturalWidth;
        if (canvas.height !== image.naturalHeight) canvas.height = image.naturalHeight;
        canvas.getContext("2d").drawImage(image, 0, 0);
      }
      slider.value = frame + 1;
      output.textContent = `${frame + 1} of ${clip.shown}`;
    }
    let timer = 0;
    function setPlaying(playing) {
      clearInterval(timer);
      timer = playing ? setInterval(() => { frame = (frame + 1) % clip.shown; draw(); }, 1000 / clip.speed) : 0;
      play.textContent = playing ? "Pause" : "Play";
    }
    play.addEventListener("click", () => setPlaying(!timer));
    slider.addEventListener("input", () => { setPlaying(false); frame = Number(slider.value) - 1; draw(); });
    sides.forEach(({ canvas, select }, side) => {
      function choose() {
        stage.setTitle(side, chosen(select));
        canvas.setAttribute("aria-label", `Clip: ${chosen(select)}`);
        draw();
      }
      select.addEventListener("change", choose);
      choose();
    });
  }

  document.querySelectorAll("[data-pictures]").forEach(startPictures);
  document.querySelectorAll("[data-clip]").forEach(startClip);

  const details = [...document.querySelectorAll("details")];
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = details.filter((entry) => !entry.open);
    for (const entry of opened) entry.open = true;
  });
  addEventListener("afterprint", () => { for (const entry of opened) entry.open = false; });
})();
