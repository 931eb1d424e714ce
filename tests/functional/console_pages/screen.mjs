// Run the screen page's script against an RFB server of a few lines; print as JSON what it drew and sent. Argument: the page's file.
import fs from "node:fs";
import vm from "node:vm";

const script = /<script>([\s\S]*?)<\/script>/.exec(fs.readFileSync(process.argv[2], "utf8"))[1];
const elements = {}, sent = [], drawn = [];
let socket;
const paper = { putImageData(image, x, y) { drawn.push([image.width, image.height, x, y, ...image.data.slice(0, 4)]); } };
const element = (id) => elements[id] ??= {
  textContent: "", handlers: {}, addEventListener(name, handler) { this.handlers[name] = handler; }, focus() {},
  getBoundingClientRect() { return { left: 10, top: 20 }; }, getContext() { return paper; },
};
class WebSocket {
  static OPEN = 1;
  constructor(url) { this.url = url; this.readyState = 1; socket = this; }
  send(data) { sent.push([...data]); }
  close() { this.closed = true; }
}
class ImageData { constructor(data, width, height) { Object.assign(this, { data, width, height }); } }
const page = {
  document: { getElementById: element }, URLSearchParams, WebSocket, TextDecoder, TextEncoder, ImageData, Uint8Array, DataView,
  Uint8ClampedArray,
  location: { search: process.argv[3], pathname: "/console/vnc", origin: "https://h" },
  history: { replaceState(_state, _title, path) { page.address = path; } },
};
vm.runInContext(script, vm.createContext(page));
const say = async (bytes) => {
  socket.onmessage({ data: Uint8Array.from(bytes).buffer });
  await new Promise((resolve) => setTimeout(resolve, 5));
};
const name = Buffer.from("fake screen");
await say(Buffer.from("RFB 003"));
await say(Buffer.from(".008\n"));
await say([1, 1]);
await say([0, 0, 0, 0]);
await say([0, 4, 0, 2, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0, 0, 0, 0, name.length, ...name]);
const size = [elements.screen.width, elements.screen.height];
await say([0, 0, 0, 1, 0, 0, 0, 0, 0, 4, 0, 2, 0, 0, 0, 0, ...Array(8).fill([64, 128, 192, 0]).flat()]);
await say([2, 3, 0, 0, 0, 0, 0, 0, 2, 65, 66, 0, 0, 0, 1, 0, 0, 0, 0, 0, 8, 0, 8, 255, 255, 255, 33]);
const greeted = sent.length;
elements.screen.handlers.keydown({ key: "A", preventDefault() {} });
elements.screen.handlers.keyup({ key: "Enter", preventDefault() {} });
elements.screen.handlers.mousedown({ button: 0, clientX: 13, clientY: 24, preventDefault() {} });
await say([9]);
console.log(JSON.stringify({
  url: socket.url, address: page.address, size, resized: [elements.screen.width, elements.screen.height], drawn,
  asked: sent.slice(0, greeted), typed: sent.slice(greeted), state: elements.state.textContent, closed: socket.closed === true,
}));
