/* Makes the report sort, filter and copy. Without it the page is complete, only not operable.
   What the reader has chosen is kept in the query of the page's address. */
(() => {
  "use strict";

  /** So many reused notebooks are shown beside others. */
  const MOST_UNFOLDED = 8;

  /** Show times in the zone of the reader; their titles tell them in full. */
  function localise(root) {
    const two = (number) => String(number).padStart(2, "0");
    const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
    for (const time of root.querySelectorAll("time[datetime]")) {
      const date = new Date(time.dateTime);
      const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
      time.textContent = `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
      time.title = full.format(date);
    }
    for (const zone of root.querySelectorAll(".nbcache-zone")) zone.remove();
  }

  async function copied(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = document.body.appendChild(document.createElement("textarea"));
      area.value = text;
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  }

  function addCopyButtons(root) {
    for (const place of root.querySelectorAll(".nbcache-copied")) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Copy";
      button.setAttribute("aria-label", "Copy the traceback");
      const said = document.createElement("span");
      said.className = "nbcache-hidden";
      said.setAttribute("role", "status");
      button.addEventListener("click", async () => {
        const done = await copied(place.querySelector("pre").textContent);
        button.textContent = done ? "Copied" : "Not copied";
        said.textContent = done ? "The traceback was copied" : "The traceback could not be copied";
        setTimeout(() => { button.textContent = "Copy"; said.textContent = ""; }, 2000);
      });
      place.prepend(button, said);
    }
  }

  /** Let all failures be opened and closed at once. */
  function addOpenAll(root) {
    const all = [...root.querySelectorAll(".nbcache-failures > details")];
    if (all.length < 2) return;
    const button = document.createElement("button");
    button.type = "button";
    const isOpen = () => all.every((details) => details.open);
    const name = () => { button.textContent = isOpen() ? "Close all" : "Open all"; };
    button.addEventListener("click", () => {
      const open = !isOpen();
      for (const details of all) details.open = open;
      name();
    });
    for (const details of all) details.addEventListener("toggle", name);
    name();
    all[0].before(button);
  }

  class Rows {
    constructor(report) {
      this.table = report.querySelector(".nbcache-table");
      this.controls = report.querySelector(".nbcache-controls");
      this.none = report.querySelector(".nbcache-none");
      this.prefix = report.dataset.nbcacheReport;
      const bodies = [...this.table.tBodies];
      this.group = bodies.find((body) => body.matches(".nbcache-group"));
      const first = this.group ? bodies.indexOf(this.group) : bodies.length;
      this.rows = bodies.filter((body) => body !== this.group).map((body, position) => ({
        body,
        position,
        isGrouped: position >= first,
        labels: body.dataset.labels.split(" "),
        notebook: body.dataset.name,
        decision: body.dataset.decision,
        status: body.dataset.status,
        time: Number(body.dataset.time),
        date: Number(body.dataset.date),
        text: null,
      }));
      this.heads = [...this.table.tHead.querySelectorAll("th")];
      this.buttons = [...this.controls.querySelectorAll("button")];
      this.field = this.controls.querySelector("input");
      this.count = this.controls.querySelector(".nbcache-count");
      this.readAddress();
      this.addSorting();
      this.addFiltering();
      this.addFolding(this.rows.length - first, first);
      this.controls.hidden = false;
      if (this.key) this.sort();
      this.filter();
    }

    readAddress() {
      const query = new URLSearchParams(location.search);
      const sort = query.get(`${this.prefix}sort`) ?? "";
      const key = sort.replace(/^-/, "");
      this.key = this.heads.some((head) => head.dataset.sort === key) ? key : "";
      this.descends = sort.startsWith("-");
      const choice = query.get(`${this.prefix}status`) ?? "";
      this.choice = this.buttons.some((b) => b.dataset.choice === choice) ? choice : "";
      this.field.value = query.get(`${this.prefix}find`) ?? "";
    }

    writeAddress() {
      const address = new URL(location.href);
      const state = {
        sort: this.key && (this.descends ? "-" : "") + this.key,
        status: this.choice,
        find: this.field.value.trim(),
      };
      for (const [name, value] of Object.entries(state)) {
        if (value) address.searchParams.set(this.prefix + name, value);
        else address.searchParams.delete(this.prefix + name);
      }
      try {
        history.replaceState(history.state, "", address);
      } catch {
        // Some browsers refuse it for local files; then the address says nothing.
      }
    }

    addSorting() {
      for (const head of this.heads) {
        const button = document.createElement("button");
        button.type = "button";
        button.append(...head.childNodes);
        head.append(button);
        button.addEventListener("click", () => {
          const key = head.dataset.sort;
          // Of numbers and times, the largest is what is looked for.
          const first = key === "time" || key === "date";
          this.descends = this.key === key ? !this.descends : first;
          this.key = key;
          this.sort();
          this.writeAddress();
        });
      }
    }

    /** Fold the reused notebooks if there are many, and something else to be seen. */
    addFolding(grouped, others) {
      this.isFolded = others > 0 && grouped > MOST_UNFOLDED;
      if (!this.group) return;
      const head = this.group.querySelector("th");
      this.fold = document.createElement("button");
      this.fold.type = "button";
      this.fold.append(...head.childNodes);
      head.append(this.fold);
      this.fold.addEventListener("click", () => {
        this.isFolded = !this.isFolded;
        this.filter();
      });
    }

    sort() {
      const { key } = this;
      const sign = this.descends ? -1 : 1;
      const compare = new Intl.Collator(undefined, { numeric: true }).compare;
      this.rows.sort((a, b) => {
        const x = a[key], y = b[key];
        const order = typeof x === "number" ? x - y : compare(x, y);
        return sign * order || a.position - b.position;
      });
      const { table } = this;
      // What `moveBefore` moves is not taken out of the page in between, which is quicker.
      const move = (table.moveBefore ?? table.insertBefore).bind(table);
      for (const row of this.rows) move(row.body, null);
      this.filter();
      for (const head of this.heads) {
        if (head.dataset.sort === key) {
          head.setAttribute("aria-sort", this.descends ? "descending" : "ascending");
        } else {
          head.removeAttribute("aria-sort");
        }
      }
    }

    addFiltering() {
      for (const button of this.buttons) {
        button.addEventListener("click", () => {
          this.choice = button.dataset.choice;
          this.filter();
          this.writeAddress();
        });
      }
      this.field.addEventListener("input", () => {
        this.filter();
        this.writeAddress();
      });
    }

    filter() {
      const wanted = this.choice ? this.choice.split(" ") : null;
      const words = this.field.value.toLowerCase().split(/\s+/).filter(Boolean);
      // Whoever sorts or looks for something means all notebooks.
      const hasGroup = Boolean(this.group) && !wanted && !words.length && !this.key;
      if (this.group) {
        this.group.hidden = !hasGroup;
        this.fold.setAttribute("aria-expanded", String(!this.isFolded));
      }
      let shown = 0;
      for (const row of this.rows) {
        const fits = (!wanted || wanted.some((label) => row.labels.includes(label)))
          && (!words.length || words.every((word) => this.textOf(row).includes(word)));
        row.body.hidden = !fits || (hasGroup && this.isFolded && row.isGrouped);
        shown += fits;
      }
      for (const button of this.buttons) {
        button.setAttribute("aria-pressed", String(button.dataset.choice === this.choice));
      }
      const all = this.rows.length;
      this.count.textContent = shown === all ? "" : `${shown} of ${all} notebooks`;
      this.none.hidden = shown > 0;
    }

    textOf(row) {
      row.text ??= `${row.notebook} ${row.body.querySelector("summary").textContent}`.toLowerCase();
      return row.text;
    }

    /** Show a row that is linked to, also if it was filtered out. */
    reveal(body) {
      if (body.hidden) {
        this.choice = "";
        this.field.value = "";
        this.isFolded = false;
        this.filter();
        this.writeAddress();
      }
      body.querySelector("details").open = true;
    }
  }

  function followHash(tables) {
    let id;
    try {
      id = decodeURIComponent(location.hash.slice(1));
    } catch {
      return;
    }
    const target = id && document.getElementById(id);
    if (!target) return;
    if (target.matches("details")) target.open = true;
    const rows = tables.find((item) => item.table.contains(target));
    if (rows && target.matches("tbody")) rows.reveal(target);
    if (rows || target.closest(".nbcache-report")) target.scrollIntoView({ block: "start" });
  }

  function start() {
    const tables = [];
    for (const report of document.querySelectorAll(".nbcache-report")) {
      localise(report);
      addCopyButtons(report);
      addOpenAll(report);
      if (report.querySelector(".nbcache-table")) tables.push(new Rows(report));
    }
    followHash(tables);
    addEventListener("hashchange", () => followHash(tables));
  }

  if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
  else start();
})();
