// Run the terminal page's script in a document of its own; print as JSON what it showed and sent. Argument: the page's file.
import fs from "node:fs";
import vm from "node:vm";

const script = /<script>([\s\S]*?)<\/script>/.exec(fs.readFileSync(process.argv[2], "utf8"))[1];
const elements = {}, sent = [];
let socket;
const element = (id) => elements[id] ??= {
  textContent: "", handlers: {}, addEventListener(name, handler) { this.handlers[name] = handler; }, focus() {},
};
class WebSocket {
  static OPEN = 1;
  constructor(url) { this.url = url; this.readyState = 1; socket = this; }
  send(data) { sent.push(Buffer.from(data).toString()); }
}
const page = {
  document: { getElementById: element }, URLSearchParams, WebSocket, TextDecoder, TextEncoder, encodeURIComponent,
  location: { search: "?token=abc-_1", pathname: "/console/serial", origin: "https://h" },
  history: { replaceState(_state, _title, path) { page.address = path; } }, requestAnimationFrame(draw) { draw(); },
};
vm.runInContext(script, vm.createContext(page));
const write = (text) => socket.onmessage({ data: Buffer.from(text) });
const key = (name, held = {}) => elements.screen.handlers.keydown({ key: name, preventDefault() {}, ...held });
socket.onopen();
write("login: \x1b[31mred\x1b[0m\r\nab\x1b");
write("[Kcd\x1b]0;tit");
write("le\x07X\b\bY\tZ\r\nabc\rX\x1b[2C!\x1b[1G<\x1b[K\r\n\x1b(B\x1b=\x1b7ok\u202e<img src=x>");
for (const name of ["a", "Enter", "ArrowUp", "Shift", "ä"]) key(name);
key("c", { ctrlKey: true });
key("C", { ctrlKey: true, shiftKey: true });
key("x", { altKey: true });
elements.screen.handlers.paste({ preventDefault() {}, clipboardData: { getData: () => "p\r\nq\n" } });
socket.onclose({ reason: "the console has ended" });
const shown = elements.screen.textContent, state = elements.state.textContent;
write("line\n".repeat(6000) + "x".repeat(3000));
const lines = elements.screen.textContent.split("\n");
console.log(JSON.stringify({
  url: socket.url, address: page.address, shown, sent, state, lines: lines.length, longest: Math.max(...lines.map((row) => row.length)),
}));
