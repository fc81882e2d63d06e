// The live connection: comes back by itself, and goes on where it was.

const LONGEST = 10_000;
const SILENT = 25_000;

export class Stream {
  /** `heard` gets every message, `changed` the state: "wait", "live" or "lost". */
  constructor(heard, changed) {
    this.heard = heard;
    this.changed = changed;
    this.delay = 500;
    this.seq = null;
    this.beat = setInterval(() => this.watch(), 5000);
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => document.hidden || this.retry());
  }

  /** Listen to something: the main question and, beside it, what the lists need. */
  open(question, beside) {
    this.question = question;
    this.beside = beside;
    this.seq = null;
    this.connect();
  }

  connect() {
    clearTimeout(this.timer);
    this.timer = null;
    this.socket?.close();
    const asked = new URLSearchParams(this.question);
    if (this.seq !== null) asked.set("resume", this.seq);
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/stream?${asked}`);
    this.socket = socket;
    this.at = Date.now();
    socket.onopen = () => {
      this.delay = 500;
      this.changed("live");
      this.listen(this.beside);
    };
    socket.onmessage = (event) => {
      if (socket !== this.socket) return;
      this.at = Date.now();
      const message = JSON.parse(event.data);
      if (message.type !== "error") this.seq = message.seq;
      this.heard(message);
    };
    socket.onclose = () => socket === this.socket && this.again();
  }

  /** Hear more beside the main question. */
  listen(beside) {
    this.beside = beside;
    if (beside && this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ subscribe: beside }));
  }

  again() {
    this.changed("lost");
    if (this.timer) return;
    this.timer = setTimeout(() => this.connect(), this.delay * (0.7 + Math.random() * 0.6));
    this.delay = Math.min(LONGEST, this.delay * 2);
  }

  retry() {
    if (this.question && this.socket?.readyState !== WebSocket.OPEN && this.socket?.readyState !== WebSocket.CONNECTING) {
      this.delay = 500;
      this.connect();
    }
  }

  /** A connection that is open and says nothing is dead. */
  watch() {
    if (this.socket?.readyState === WebSocket.OPEN && Date.now() - this.at > SILENT) {
      this.changed("lost");
      this.connect();
    }
  }
}
