// Draws a map into <div data-map-src="URL of its module">. Leaflet is loaded here, so only when a map is opened.
const loading = new Map(); // by URL: two maps on one page share their files

function load(url, make) {
  if (!loading.has(url)) {
    loading.set(url, new Promise((resolve, reject) => {
      const element = make(url);
      element.onload = resolve;
      element.onerror = () => {
        loading.delete(url); // the next map tries again
        element.remove();
        reject(new Error(`${url} cannot be loaded`));
      };
      document.head.append(element);
    }));
  }
  return loading.get(url);
}

const style = (href) => Object.assign(document.createElement("link"), { rel: "stylesheet", href });
// async = false: side by side over the network, one after the other when they run.
const script = (src) => Object.assign(document.createElement("script"), { src, async: false });

// Leaflet measures its box once, and what is in a closed dialog or a hidden panel has no size yet.
const sized = (host) => new Promise((resolve) => {
  const watch = new ResizeObserver(() => {
    if (host.isConnected && !host.clientWidth) return;
    watch.disconnect();
    resolve();
  });
  watch.observe(host);
});

// Returns the map's {refresh(), lines(pairs), destroy()}, or null when the host has left the page meanwhile.
export async function mount(host, api) {
  const modules = [import("./map.js"), import(host.dataset.mapSrc)];
  const [{ WorldMap }, { js, css, default: draw }] = await Promise.all(modules);
  await Promise.all([...css.map((url) => load(url, style)), ...js.map((url) => load(url, script)), sized(host)]);
  return host.isConnected ? draw(new WorldMap(host, api)) : null;
}
