// Run the SPICE page's script with a connection that only notes what it was given; print that as JSON. Arguments: the page's file, its query.
import fs from "node:fs";
import vm from "node:vm";

const script = /<script type="module">([\s\S]*?)<\/script>/.exec(fs.readFileSync(process.argv[2], "utf8"))[1];
const imported = /^import \{ SpiceMainConn, sendCtrlAltDel \} from "(.*)";$/m.exec(script);
const elements = {}, seen = { from: imported[1], sizes: [], sent: 0, stopped: 0 }, listeners = {};
const element = (id) => elements[id] ??= {
  textContent: "connecting", clientWidth: 1003, clientHeight: 700, handlers: {},
  addEventListener(name, handler) { this.handlers[name] = handler; },
};
let given;
class SpiceMainConn {
  constructor(options) { given = options; this.ws = { addEventListener(name, handler) { listeners[name] = handler; } }; }
  resize_window(_flags, width, height) { seen.sizes.push([width, height]); }
  stop() { seen.stopped++; }
}
const page = {
  document: { getElementById: element }, URLSearchParams, SpiceMainConn, sendCtrlAltDel() { seen.sent++; }, setTimeout, clearTimeout,
  location: { search: process.argv[3], pathname: "/console/spice", origin: "https://h" },
  history: { replaceState(_state, _title, path) { seen.address = path; } },
};
page.window = { addEventListener(name, handler) { listeners[name] = handler; } };
vm.runInContext(script.replace(imported[0], ""), vm.createContext(page));
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
seen.url = given.uri;
seen.password = given.password;
given.onsuccess("Connected");
seen.connected = element("state").textContent;
given.onagent(new SpiceMainConn(given));
element("frame").clientWidth = 640;
listeners.resize();
listeners.resize();
await wait(250);
element("keys").handlers.click();
given.onerror(new Error("Unexpected close while ready"));
listeners.close({ reason: "the console has ended" });
await wait(100);
listeners.resize();
await wait(250);
seen.state = element("state").textContent;
console.log(JSON.stringify(seen));
