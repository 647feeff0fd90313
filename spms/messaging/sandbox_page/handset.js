"use strict";
// The handset: shows what reached a demonstration phone, and sends what is typed on it.
// Plain DOM, text only (nothing that arrives is ever parsed as HTML), no other origin.

const TEXTS = {
  zh: {
    title: "沙箱手机", intro: "选一部手机：平台发出的短信会实时显示，可以像用户一样回复。",
    filter: "按名称或号码查找", number: "号码：86 加 11 位", name: "名称", add: "添加手机",
    flight: "关机", is_off: "手机已关机。此时发来的短信会投递失败。",
    guide: "短信指令", to: "发送到（号码）", text: "短信内容", back: "返回", write: "写短信", send: "发送",
    note: "沙箱里的时间可以调快。回复是否有效，以平台收到的时刻为准。",
    messages: "信息", new: "新信息", operator: "运营商", sp: "服务号码", empty: "还没有短信。点右上角 ✎ 给服务号码发送订购指令。",
    no_phones: "还没有手机。请在左下方添加一部。", offline: "连接中断，正在重试…", you: "我：",
    commands: [
      ["Y", "同意，第二次确认"], ["N", "不同意"], ["Y 4821", "同意指定验证码对应的那一项"],
      ["TD", "退订"], ["TD 代码", "退订指定业务"], ["0000", "查询已订业务列表"],
      ["1、3", "退订列表中的第 1 和第 3 项"], ["00000", "退订全部业务"],
    ],
  },
  en: {
    title: "Sandbox handset", intro: "Pick a phone: what the platform sends arrives live, and you answer as its holder would.",
    filter: "Find by name or number", number: "Number: 86 and 11 digits", name: "Name", add: "Add phone",
    flight: "Switched off", is_off: "The phone is off. What is sent to it now fails.",
    guide: "What you can text", to: "To (number)", text: "Message", back: "Back", write: "New message", send: "Send",
    note: "Time in the sandbox can be moved. Whether an answer counts depends on when the platform received it.",
    messages: "Messages", new: "New message", operator: "Operator", sp: "Service number", empty: "No messages yet. Tap ✎ to order from a service number.",
    no_phones: "No phones yet. Add one below the list.", offline: "Connection lost, trying again…", you: "Me: ",
    commands: [
      ["Y", "Yes: the second confirmation"], ["N", "No"], ["Y 4821", "Yes to the prompt with that code"],
      ["TD", "Unsubscribe"], ["TD code", "Unsubscribe from one service"], ["0000", "List what is subscribed"],
      ["1,3", "Unsubscribe lines 1 and 3 of the list"], ["00000", "Unsubscribe from everything"],
    ],
  },
};
const QUICK = ["Y", "N", "TD", "0000"];
const LIVE_MS = 1000;
const PHONES_EVERY = 3;
const ZONE = "Asia/Shanghai";

const $ = (id) => document.getElementById(id);
const OPERATOR = document.body.dataset.operator;
const screens = new Map(); // msisdn → messages, oldest first
let seen = stored("spms.seen", {}); // "msisdn other" → seq of the last message looked at
let language = stored("spms.language", navigator.language.startsWith("zh") ? "zh" : "en");
let phones = [];
let current = stored("spms.phone", null);
let thread = null; // the other party's number; null shows the list; "" is a new message
let now = null;
let rounds = 0;

function stored(key, otherwise) {
  try { return JSON.parse(localStorage.getItem(key)) ?? otherwise; } catch { return otherwise; }
}
function store(key, value) {
  try { localStorage.setItem(key, JSON.stringify(value)); } catch { /* private window: forget */ }
}
const t = (key) => TEXTS[language][key];

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}
function when(iso, options) {
  return new Intl.DateTimeFormat(language === "zh" ? "zh-CN" : "en-GB", { timeZone: ZONE, ...options }).format(new Date(iso));
}
const clock = (iso) => when(iso, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = (iso) => when(iso, { month: "short", day: "numeric" });
const stamp = (iso) => (now && day(iso) === day(now) ? clock(iso) : day(iso));

async function call(path, body) {
  const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  const answer = await fetch(`/sandbox/${path}`, { cache: "no-store", ...options });
  const content = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(content.detail || content.title), { refused: true });
  return content;
}

let toastTimer = 0;
function toast(message, bad = false) {
  $("toast").textContent = message;
  $("toast").classList.toggle("bad", bad);
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $("toast").hidden = true; }, 3500);
}

// --- threads -----------------------------------------------------------------------------------

const messages = () => screens.get(current) ?? [];
const seenKey = (other) => `${current} ${other}`;
const isUnread = (message) => message.direction === "to_phone" && message.seq > (seen[seenKey(message.other)] ?? 0);

function threads() {
  const latest = new Map();
  for (const message of messages()) latest.set(message.other, message);
  return [...latest.values()].sort((a, b) => b.seq - a.seq);
}
function markSeen() {
  const last = messages().filter((m) => m.other === thread).at(-1);
  if (!last || seen[seenKey(thread)] === last.seq) return;
  seen[seenKey(thread)] = last.seq;
  store("spms.seen", seen);
}
const face = (number) => element("span", { className: number === OPERATOR ? "face operator" : "face", textContent: number === OPERATOR ? "通" : number.slice(-2) });

// --- drawing -----------------------------------------------------------------------------------

function drawTexts() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of document.querySelectorAll("[data-p]")) node.placeholder = t(node.dataset.p);
  for (const node of document.querySelectorAll("[data-a]")) node.setAttribute("aria-label", t(node.dataset.a));
  $("language").textContent = language === "zh" ? "EN" : "中文";
  $("commands").replaceChildren(...t("commands").map(([word, meaning]) =>
    element("div", {}, element("dt", { textContent: word }), element("dd", { textContent: meaning }))));
}

function drawPhones() {
  const wanted = $("filter").value.trim().toLowerCase();
  const rows = phones.filter((p) => p.label.toLowerCase().includes(wanted) || p.msisdn.includes(wanted));
  $("phones").replaceChildren(...rows.map((phone) => {
    const read = stored("spms.top", {})[phone.msisdn] ?? 0;
    const button = element("button", { type: "button", onclick: () => choose(phone.msisdn) },
      element("span", { className: "face", textContent: phone.label.slice(0, 1) }),
      element("strong", { textContent: phone.label }),
      element("em", { textContent: phone.reachable ? (phone.last_at ? stamp(phone.last_at) : "") : "✈" }),
      element("small", { textContent: phone.last_text || phone.msisdn }));
    button.title = phone.msisdn;
    button.setAttribute("aria-current", String(phone.msisdn === current));
    button.classList.toggle("unread", phone.msisdn !== current && (phone.last_seq ?? 0) > read);
    return element("li", {}, button);
  }));
  const phone = phones.find((p) => p.msisdn === current);
  $("label").textContent = current ? `${phone?.label ?? ""} · ${current}` : "";
  $("flight").checked = phone ? !phone.reachable : false;
  $("flight").disabled = !phone;
  $("off").hidden = !phone || phone.reachable;
  $("phone").classList.toggle("is-off", Boolean(phone) && !phone.reachable);
}

function drawScreen(fresh = 0) {
  $("time").textContent = now ? clock(now) : "--:--";
  $("day").textContent = now ? day(now) : "";
  $("back").style.visibility = thread === null ? "hidden" : "visible";
  $("write").style.visibility = thread === null && current ? "visible" : "hidden";
  $("to").hidden = thread !== "";
  $("compose").hidden = thread === null;
  $("quick").hidden = thread === null || thread === "";
  $("who").textContent = thread === null ? t("messages") : thread || t("new");
  $("what").textContent = thread ? t(thread === OPERATOR ? "operator" : "sp") : "";
  if (thread === null) drawThreads(); else drawConversation(fresh);
}

function drawThreads() {
  const rows = threads().map((last) => {
    const who = element("strong", { textContent: last.other });
    const row = element("button", { type: "button", className: "thread", onclick: () => open(last.other) },
      face(last.other), who, element("time", { textContent: stamp(last.at) }),
      element("small", { textContent: (last.direction === "from_phone" ? t("you") : "") + last.text }));
    row.classList.toggle("unread", messages().some((m) => m.other === last.other && isUnread(m)));
    return row;
  });
  const none = element("p", { className: "none", textContent: t(current ? "empty" : "no_phones") });
  $("view").replaceChildren(...(rows.length ? rows : [none]));
}

function drawConversation(fresh) {
  const view = $("view");
  const atEnd = view.scrollHeight - view.scrollTop - view.clientHeight < 60;
  const nodes = [];
  let last = null;
  for (const message of messages().filter((m) => m.other === thread)) {
    if (!last || new Date(message.at) - new Date(last) > 600_000) nodes.push(element("span", { className: "stamp", textContent: `${day(message.at)} ${clock(message.at)}` }));
    last = message.at;
    nodes.push(element("div", { className: `bubble ${message.direction}${fresh && message.seq > fresh ? " fresh" : ""}`, textContent: message.text }));
  }
  view.replaceChildren(...nodes);
  if (atEnd || fresh === 0) view.scrollTop = view.scrollHeight;
  markSeen();
}

// --- doing -------------------------------------------------------------------------------------

function choose(msisdn) {
  current = msisdn;
  thread = null;
  store("spms.phone", msisdn);
  noteTop();
  drawPhones();
  drawScreen();
  refresh();
}
function open(other) {
  thread = other;
  drawScreen();
  $(other ? "text" : "to").focus({ preventScroll: true });
}
function noteTop() {
  const last = messages().at(-1);
  if (last) store("spms.top", { ...stored("spms.top", {}), [current]: last.seq });
}

async function refresh() {
  if (!current) return;
  const msisdn = current;
  const known = screens.get(msisdn) ?? [];
  const top = known.at(-1)?.seq ?? 0;
  const answer = await call("inbox", { msisdn, after: top });
  // Another round may have brought the same messages meanwhile.
  const mine = screens.get(msisdn) ?? [];
  const fresh = answer.messages.filter((m) => m.seq > (mine.at(-1)?.seq ?? 0));
  screens.set(msisdn, mine.concat(fresh));
  const minute = now === null || clock(now) !== clock(answer.now);
  now = answer.now;
  if (msisdn !== current) return;
  if (fresh.length) {
    const arrived = fresh.filter((m) => m.direction === "to_phone").at(-1);
    if (top && arrived && arrived.other !== thread) {
      if (thread === null) thread = arrived.other; else toast(`${arrived.other}: ${arrived.text}`);
    }
    noteTop();
    drawScreen(top);
  } else if (minute || top === 0) drawScreen(top);
}

async function refreshPhones() {
  phones = (await call("phones")).phones;
  if (!phones.some((p) => p.msisdn === current)) { current = phones[0]?.msisdn ?? null; thread = null; }
  drawPhones();
}

async function live() {
  try {
    if (rounds++ % PHONES_EVERY === 0) await refreshPhones();
    await refresh();
    $("connection").classList.add("live");
  } catch (error) {
    if (!error.refused && $("connection").classList.contains("live")) toast(t("offline"), true);
    $("connection").classList.remove("live");
  }
  setTimeout(live, LIVE_MS);
}

async function attempt(work) {
  try { await work(); } catch (error) { toast(error.refused ? error.message : t("offline"), true); }
}
const send = (to, text) => attempt(async () => {
  await call("messages", { msisdn: current, to, text });
  $("text").value = "";
  if (thread !== to) { thread = to; $("to").value = ""; }
  await refresh();
});

$("language").onclick = () => {
  language = language === "zh" ? "en" : "zh";
  store("spms.language", language);
  drawTexts();
  drawPhones();
  drawScreen();
};
$("filter").oninput = drawPhones;
$("back").onclick = () => { thread = null; drawScreen(); };
$("write").onclick = () => open("");
$("compose").onsubmit = (event) => {
  event.preventDefault();
  const to = thread || $("to").value.trim();
  const text = $("text").value.trim();
  if (current && to && text) send(to, text);
};
$("flight").onchange = (event) => attempt(async () => {
  const phone = phones.find((p) => p.msisdn === current);
  await call("phones", { msisdn: phone.msisdn, label: phone.label, reachable: !event.target.checked });
  await refreshPhones();
});
$("add").onsubmit = (event) => {
  event.preventDefault();
  attempt(async () => {
    const msisdn = $("add-msisdn").value.trim();
    await call("phones", { msisdn, label: $("add-label").value.trim() });
    $("add").reset();
    await refreshPhones();
    choose(msisdn);
  });
};
$("quick").replaceChildren(...QUICK.map((word) =>
  element("button", { type: "button", textContent: word, onclick: () => send(thread, word) })));

drawTexts();
drawScreen();
live();
