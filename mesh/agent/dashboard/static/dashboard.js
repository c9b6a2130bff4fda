"use strict";

// Everything shown comes from other agents' records too, so it enters the page as text, never as markup.

const REFRESH_MS = 2000;
const TIMEOUT_MS = 5000;
const LABELS = {
  peer_count: "connected peers",
  route_count: "routes it may use",
  open_connections: "open connections",
  stream_count: "streams",
  unacknowledged_segments: "unacknowledged segments",
  actors: "actors",
};

const byId = (id) => document.getElementById(id);

function element(tag, className, content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (content instanceof Node) made.append(content);
  else if (content !== undefined && content !== null) made.textContent = String(content);
  return made;
}

function badge(text, kind) {
  return element("span", `state ${kind}`, text);
}

function withId(name, id) {
  const cell = element("span", "", name || "unknown");
  if (id) {
    cell.append(" ", element("code", "quiet", id.slice(0, 8)));
    cell.title = id;
  }
  return cell;
}

function needsLook(peer) {
  return Number(Boolean(peer.problem)) + Number(peer.state !== "connected");
}

function peerState(peer) {
  const cell = element("span");
  cell.append(badge(peer.state, peer.state === "connected" && !peer.problem ? "good" : "waiting"));
  if (peer.problem) cell.append(" ", element("span", "quiet", peer.problem));
  return cell;
}

function since(one) {
  return one.since ? new Date(one.since).toLocaleString() : "";
}

function noPeers(awaitsAt) {
  return awaitsAt.length ? `No agent is linked; others are awaited at ${awaitsAt.join(", ")}.` : "This agent has no peers.";
}

function isWrong(service) {
  return Number(Boolean(service.reason || service.set_aside.length));
}

function whyNot(service) {
  const aside = service.set_aside.map((exit) =>
    `${exit.agent} set aside until ${new Date(exit.until).toLocaleTimeString()}: ${exit.reason}`);
  return [service.reason, ...aside].filter(Boolean).join("; ");
}

function told(finding) {
  const since = finding.since ? ` (since ${new Date(finding.since).toLocaleString()})` : "";
  return `${finding.what}${since}${finding.remedy ? `; ${finding.remedy}` : ""}`;
}

function path(route) {
  const list = element("ol", "path");
  route.path_display.forEach((name, step) => {
    const item = element("li", "", name);
    item.title = route.path_ids[step];
    list.append(item);
  });
  return list;
}

function fill(bodyId, rows, columns, emptyText) {
  const body = byId(bodyId);
  const made = rows.map((cells) => {
    const row = element("tr");
    cells.forEach(([className, content]) => row.append(element("td", className, content)));
    return row;
  });
  if (made.length === 0) {
    const cell = element("td", "empty", emptyText);
    cell.colSpan = columns;
    made.push(element("tr", "", cell));
  }
  body.replaceChildren(...made);
}

function count(id, number, leftOut = 0) {
  const more = leftOut ? `, and up to ${leftOut.toLocaleString("en")} more` : "";
  byId(id).textContent = number ? `(${number.toLocaleString("en")}${more})` : "";
}

function showStats(stats) {
  const tiles = Object.entries(LABELS).map(([name, label]) => {
    const tile = element("div");
    tile.append(element("dt", "", label), element("dd", "", stats[name].toLocaleString("en")));
    return tile;
  });
  byId("stats").replaceChildren(...tiles);
}

function show(status) {
  document.title = `${status.agent.display_name} - mesh agent`;
  byId("agent-name").textContent = status.agent.display_name;
  byId("agent-id").textContent = status.agent.id;
  byId("agent-version").textContent = `version ${status.agent.version}`;
  showStats(status.stats);

  const totals = status.rows.totals;
  const shownRoutes = status.forward_routes.length;
  count("routes-count", shownRoutes, status.forward_routes_left_out + totals.forward_routes - shownRoutes);
  fill("routes", status.forward_routes.map((route) => [
    ["key", route.key],
    ["code", route.listener_address],
    ["", path(route)],
    ["number", route.hop_count],
    [route.target === null ? "empty" : "code", route.target ?? "hidden"],
  ]), 5, "No listener reaches an endpoint yet.");

  count("peers-count", status.peers.length, totals.peers - status.peers.length);
  // Those to look at first: with hundreds of peers nobody would find them.
  const peers = [...status.peers].sort((one, other) => needsLook(other) - needsLook(one));
  fill("peers", peers.map((peer) => [
    ["key", withId(peer.display_name, peer.id)],
    ["", peerState(peer)],
    ["number", peer.rtt_ms === null ? "\u2013" : `${peer.rtt_ms.toFixed(2)} ms`],
    ["", since(peer)],
    ["", peer.is_dialer ? "dialed by this agent" : "accepted"],
    ["code", peer.address],
  ]), 6, noPeers(status.agent.awaits_at));

  const services = [
    ...status.listeners.map((one) => [one, "listener"]),
    ...status.endpoints.map((one) => [one, "endpoint"]),
  ].sort(([one], [other]) => isWrong(other) - isWrong(one));
  count("services-count", services.length, totals.listeners + totals.endpoints - services.length);
  fill("services", services.map(([service, kind]) => [
    ["key", service.key],
    ["", kind],
    ["code", service.address],
    ["", badge(service.state, isWrong(service) ? "waiting" : "good")],
    ["", since(service)],
    ["", whyNot(service)],
  ]), 6, "This agent has no listeners and no endpoints.");

  byId("socks-section").hidden = status.socks.length === 0;
  fill("socks", status.socks.map((door) => [
    ["code", door.address],
    ["", badge(door.problem === null ? "open" : "closed", door.problem === null ? "good" : "waiting")],
    ["", door.problem ?? "leads to each key by its name"],
  ]), 3, "");

  const unmatched = [
    ...status.unmatched_listeners.map((one) => [one, "listener", one.listener_address]),
    ...status.unmatched_endpoints.map((one) => [one, "endpoint", one.target ?? "hidden"]),
  ];
  byId("unmatched-section").hidden = unmatched.length === 0;
  const allUnmatched = totals.unmatched_listeners + totals.unmatched_endpoints;
  count("unmatched-count", unmatched.length, allUnmatched - unmatched.length);
  fill("unmatched", unmatched.map(([one, kind, address]) => [
    ["key", one.key],
    ["", kind],
    ["", withId(one.agent, one.agent_id)],
    ["code", address],
    ["", one.reason],
  ]), 5, "");

  byId("alarms-section").hidden = status.alarms.length === 0;
  count("alarms-count", status.alarms.length);
  fill("alarms", status.alarms.map((alarm) => [
    ["key", alarm.kind],
    ["", alarm.member],
    ["number", alarm.times.toLocaleString("en")],
  ]), 3, "");

  showRevoked(status);
}

function showRevoked(status) {
  const revocations = status.revocations;
  byId("revoked-section").hidden = status.revocation_lists.length === 0;
  count("revoked-count", revocations.length, status.rows.totals.revocations - revocations.length);
  fill("revoked", revocations.map((one) => [
    ["key", withId(one.agent, one.agent_id)],
    ["", since(one)],
    ["", one.by],
    ["", one.reason],
  ]), 4, "Nobody is revoked any more.");
  const lists = status.revocation_lists.map((list) => `${list.by} (${new Date(list.signed).toLocaleString()})`);
  const missing = status.stats.revocation_lists_missing;
  const newer = missing ? `; of ${missing} of them a peer says that it has a newer one` : "";
  byId("revocation-lists").textContent = `By the newest lists that are known here: ${lists.join(", ")}${newer}.`;
}

function lines(boxId, texts) {
  const box = byId(boxId);
  if ([...box.children].map((line) => line.textContent).join("\n") !== texts.join("\n")) {
    box.replaceChildren(...texts.map((text) => element("li", "", text)));
  }
  box.hidden = texts.length === 0;
}

function found(body, severity) {
  return body.findings.filter((finding) => finding.severity === severity).map(told);
}

function notReady(body) {
  const all = body.rows.totals.problems;
  return all === 1 ? "not ready: 1 problem" : `not ready: ${all.toLocaleString("en")} problems`;
}

function showState(text, kind, notices) {
  const state = byId("state");
  if (state.textContent !== text) state.textContent = text; // a screen reader announces each change
  state.className = `state ${kind}`;
  lines("notice", notices);
}

async function refresh() {
  try {
    const answer = await fetch("/api/dashboard", { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.error || `HTTP ${answer.status}`);
    show(body);
    document.body.classList.remove("stale");
    if (body.ready) showState("ready", "good", []);
    else if (body.draining && body.rows.totals.problems === 1) showState("draining", "waiting", found(body, "problem"));
    else showState(notReady(body), "waiting", found(body, "problem"));
    lines("warnings", found(body, "warning"));
    const late = body.age_s >= 1 ? ` (the agent is busy: this is ${body.age_s.toFixed(0)} s old)` : "";
    byId("updated").textContent = `Updated ${new Date(body.as_of).toLocaleTimeString()}${late}`;
  } catch (error) {
    document.body.classList.add("stale");
    showState("no answer", "bad", [`The agent does not answer: ${error.message}`]);
  }
}

async function askAccess(event) {
  event.preventDefault();
  const [key, agent] = [byId("access-key").value.trim(), byId("access-agent").value.trim()];
  count("access-count", 0);
  if (!key && !agent) {
    lines("access", ["Name a key, an agent or both."]);
    return;
  }
  try {
    const query = new URLSearchParams({ key, agent });
    const answer = await fetch(`/api/v1/access?${query}`, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    const access = await answer.json();
    if (!answer.ok) throw new Error(access.detail || `HTTP ${answer.status}`);
    count("access-count", access.rows.length, access.total - access.rows.length);
    lines("access", access.rows.map((row) => row.sentence));
  } catch (error) {
    lines("access", [`No answer: ${error.message}`]);
  }
}

byId("access-form").addEventListener("submit", askAccess);

let timer = 0;

async function run() {
  clearTimeout(timer);
  if (document.hidden) return; // nobody looks: ask for nothing
  await refresh();
  clearTimeout(timer);
  timer = setTimeout(run, REFRESH_MS);
}

document.addEventListener("visibilitychange", run);
run();
