"use strict";

// Draws the state from /debug/state once a second, and only what has changed, so that focus and
// selection stay where they are. Text is only ever set as text: nothing from a script or client is
// treated as markup.

(function () {
  const at = (id) => document.getElementById(id);
  const root = location.pathname.replace(/\/debug\/?$/, "") + "/debug/";
  let opened = 0;
  let openedAs = null;
  let drawn = {};

  function element(name, text, kind) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  }

  function changed(name, value) {
    const text = JSON.stringify(value);
    if (drawn[name] === text) return false;
    drawn[name] = text;
    return true;
  }

  function row(cells) {
    const made = element("tr");
    for (const cell of cells) {
      const place = element("td");
      place.append(cell instanceof Node ? cell : document.createTextNode(cell));
      made.append(place);
    }
    return made;
  }

  const failed = (request) => request.status >= 400;
  const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString();
  const milliseconds = (value) => (value === null ? "–" : value.toFixed(1) + " ms");

  function outcome(request) {
    const words = [request.status, request.error].filter(Boolean).join(" ");
    return element("span", words, failed(request) ? "bad" : "good");
  }

  function verdict(request) {
    if (!request.replay_of) return "";
    const worse = request.verdict === "broken";
    const kind = worse ? "bad" : request.verdict === "fixed" ? "good" : "quiet";
    return element("span", request.verdict || "original no longer kept", kind);
  }

  // -- the list ----------------------------------------------------------------------------

  function drawRequests(requests) {
    if (!changed("requests", requests)) return;
    const focused = document.activeElement && document.activeElement.dataset.number;
    at("none").hidden = requests.length > 0;
    at("list").replaceChildren(
      ...requests.map((request) => {
        const open = element("button", request.method + " " + request.target);
        open.type = "button";
        open.dataset.number = request.number;
        open.setAttribute("aria-label", `Open ${request.method} ${request.target}, ${request.status}`);
        open.addEventListener("click", () => show(request.number));
        return row([
          clock(request.time), open, outcome(request), milliseconds(request.run_ms),
          milliseconds(request.total_ms), verdict(request),
        ]);
      }),
    );
    if (focused) {
      const again = document.querySelector(`[data-number="${focused}"]`);
      if (again) again.focus();
    }
  }

  function drawWorkers(workers) {
    if (!changed("workers", workers)) return;
    at("workers").replaceChildren(
      ...workers.map((worker) =>
        row([
          String(worker.index), String(worker.pid), String(worker.generation),
          worker.state === "starting" ? "starting: " + worker.stage : worker.state,
          worker.memory_mib + " MiB", String(worker.scored),
        ]),
      ),
    );
  }

  function sentence(state) {
    const status = state.status;
    const parts = [status.state];
    if (status.doing) parts.push(status.doing);
    if (status.reloading) parts.push("reloading");
    return parts.join(", ");
  }

  function setText(id, text) {
    if (at(id).textContent !== text) at(id).textContent = text;
  }

  function draw(state) {
    setText("script", state.script);
    if (document.title !== state.script + ": debug") document.title = state.script + ": debug";
    setText("state", `Generation ${state.generation}: ${sentence(state).replace(/[\d.]+ s/, "some time")}`);
    at("state").className = state.status.state === "ready" && !state.report ? "good" : "bad";
    at("failed").hidden = !state.report;
    if (state.report) {
      const serving = state.status.state === "ready";
      setText("failed-what", serving ? "The previous script continues to serve requests. Correct the script and reload it." : "No requests can be scored until the script is corrected and reloaded.");
    }
    setText("report", state.report);
    at("died").hidden = !state.last_death;
    setText("death", state.last_death);
    setText("reloading", state.reload ? "Live reload is " + state.reload + "." : "Live reload is off. Start the server with --reload to turn it on.");
    const debug = state.status.debugger;
    setText("debugger", !debug ? "The debugger is not listening." : `The debugger is listening on ${debug.host}, port ${debug.port}: ` + (debug.paused ? "paused at a breakpoint." : debug.attached ? "an editor is attached." : "no editor is attached."));
    drawRequests(state.requests);
    drawWorkers(state.workers);
  }

  // -- one request -------------------------------------------------------------------------

  function bodyText(body) {
    if (typeof body !== "string") return "(binary, base64) " + body.base64;
    try {
      return JSON.stringify(JSON.parse(body), null, 2);
    } catch {
      return body;
    }
  }

  function errorParts(error) {
    if (!error.type) return [];
    const parts = [element("h3", "Error"), element("p", `${error.type}: ${error.message}`, "bad")];
    for (const frame of error.frames || []) {
      const where = `${frame.file}:${frame.line}` + (frame.function ? ` in ${frame.function}()` : "");
      const place = element("pre", `${where}\n    ${frame.code}`);
      place.tabIndex = 0;
      place.setAttribute("aria-label", "Frame " + where);
      parts.push(place);
    }
    if (error.hint) parts.push(element("h3", "Hint"), element("pre", error.hint));
    if (error.input && Object.keys(error.input).length) {
      parts.push(element("h3", "Input, by type and shape"), element("pre", JSON.stringify(error.input, null, 2)));
    }
    if ((error.all_frames || []).length > (error.frames || []).length) {
      const more = element("details");
      more.append(element("summary", "All frames"));
      const lines = error.all_frames.map((frame) => `${frame.whose.padEnd(10)} ${frame.file}:${frame.line} ${frame.function}`);
      more.append(element("pre", lines.join("\n")));
      parts.push(more);
    }
    return parts;
  }

  async function show(number) {
    const request = await get("requests/" + number);
    opened = number;
    openedAs = request;
    at("opened").hidden = false;
    setText("opened-title", `${request.method} ${request.target}: ${request.outcome.status}`);
    setText("done", "");
    at("error").replaceChildren(...errorParts(request.error));
    const headers = request.headers.map(([name, value]) => `${name}: ${value}`).join("\n");
    const body = request.left_out ? `(${request.left_out} bytes, too large to keep)` : bodyText(request.body);
    setText("came", `${headers}\n\n${body}`);
    at("replay").disabled = Boolean(request.left_out);
    at("replay").title = request.left_out ? "This request cannot be replayed: its body was too large to keep." : "";
    setText("answered", `${request.outcome.content_type}\n\n${bodyText(request.outcome.body)}`);
    at("opened-title").focus();
  }

  async function replay() {
    setText("done", "Replaying …");
    const original = opened;
    await post(`requests/${original}/replay`);
    for (let tries = 0; tries < 600 && opened === original; tries++) {
      const state = await look();
      const again = state && state.requests.find((each) => each.replay_of === original && !seen.has(each.number));
      if (again) {
        seen.add(again.number);
        const words = { fixed: "Fixed", same: "Unchanged", broken: "Broken", changed: "Changed" };
        setText("done", `${words[again.verdict] || "Done"}: ${again.status} ${again.error}`.trim());
        return;
      }
      await new Promise((done) => setTimeout(done, 100));
    }
  }
  const seen = new Set();

  async function copy(text, what) {
    try {
      await navigator.clipboard.writeText(text);
      return what + " copied.";
    } catch {
      return "The browser did not allow copying. Select the text instead: " + text;
    }
  }

  // -- the server --------------------------------------------------------------------------

  function complain(text) {
    at("problem").hidden = !text;
    setText("problem", text);
  }

  async function get(path) {
    const response = await fetch(root + path, { cache: "no-store" });
    if (!response.ok) throw new Error((await response.json()).message);
    return response.json();
  }

  async function post(path) {
    const response = await fetch(root + path, { method: "POST" });
    if (!response.ok) throw new Error((await response.json()).message);
  }

  async function look() {
    try {
      const state = await get("state");
      draw(state);
      complain("");
      return state;
    } catch (error) {
      complain("The server is not responding: " + error.message);
      return null;
    }
  }

  async function about() {
    const known = await get("about");
    setText("launch", JSON.stringify(known.launch, null, 4));
    setText("models", known.models);
    at("settings").replaceChildren(
      ...known.settings.map((each) => row([element("code", each.variable), each.value, each.source])),
    );
  }

  function whenPressed(id, action) {
    at(id).addEventListener("click", () => action().catch((error) => complain(error.message)));
  }

  whenPressed("reload", () => post("reload"));
  whenPressed("replay", replay);
  whenPressed("copy-curl", async () => setText("done", await copy(openedAs.curl, "The command is")));
  whenPressed("copy-launch", async () => setText("debugger", await copy(at("launch").textContent, "launch.json is")));
  whenPressed("close", async () => {
    const back = document.querySelector(`[data-number="${opened}"]`);
    opened = 0;
    at("opened").hidden = true;
    (back || at("requests")).focus();
  });

  async function again() {
    if (!document.hidden) await look();
    setTimeout(again, 1000);
  }
  again();
  about().catch((error) => complain(error.message));
})();
