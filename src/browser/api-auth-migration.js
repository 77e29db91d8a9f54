/*
 * API keys in a browser: V2 where it is there, V1 where it is not, and the way from one to the other. A classic script
 * without dependencies; `/api-auth-migration.mjs` is the same as an ES module. Documentation: docs/guides/browser.md.
 */
((global) => {
  const PATHS = {
    validate: "/api/auth/v2/validate",
    register: "/api/auth/v2/register",
    refresh: "/api/auth/v2/refresh",
    migrate: "/api/auth/v2/migrate",
    registerV1: "/api/auth/register_api_key",
  };
  const DEFAULTS = {
    baseUrl: "",
    /** Further origins that are given the key; all others are called without it. */
    origins: [],
    name: "browser",
    keyType: "basic",
    /** False: without a good key the call fails, and no new one is registered. */
    register: true,
    storageKey: "api-auth",
    /** Milliseconds after which what failed is tried again: a server without V2, an exchange, a refresh. */
    recheckMs: 60_000,
    /** Milliseconds that one call of the key API may take. */
    timeoutMs: 10_000,
  };

  /** Reasons for which a key is of no use any more. One that is disabled may be enabled again. */
  const ENDED = ["credential_invalid", "key_expired", "key_revoked", "key_superseded", "legacy_key_removed"];

  class ApiAuth extends EventTarget {
    /** Set to false to go on with V1 whatever the server has: the quick way back. */
    v2Available;
    #options;
    #memory = {};
    #detected = { there: undefined, atMs: Number.NEGATIVE_INFINITY };
    #failedAtMs = Number.NEGATIVE_INFINITY;
    #underWay;
    #hasJustFailed = () => Date.now() - this.#failedAtMs < this.#options.recheckMs;

    constructor(options) {
      super();
      this.#options = { ...DEFAULTS, ...options };
      this.v2Available = this.#options.v2Available;
    }

    /** The key to send, fetched, migrated or refreshed when that is due: `{ key, version }`. Once at a time. */
    getKey() {
      this.#underWay ??= this.#findKey().finally(() => {
        this.#underWay = undefined;
      });
      return this.#underWay;
    }

    /** `fetch` with the key attached. A key that Latchkey refuses is replaced once; what upstream refuses is not. */
    async fetch(input, init) {
      const { baseUrl } = this.#options;
      const own = typeof input === "string" && input.startsWith("/") && !input.startsWith("//");
      const request = new Request(own ? baseUrl + input : input, init);
      if (!this.#mayHaveKey(request.url)) return global.fetch(request);
      const confined = new Request(request, confinement(request.url, request.redirect));
      const used = await this.getKey();
      const first = await this.#send(confined.clone(), used);
      if (first.status !== 401 || !ENDED.includes(first.headers.get("x-latchkey-reason"))) return first;
      this.#drop(used.key);
      return this.#send(confined, await this.getKey());
    }

    /** Takes a V1 key that the page has kept so far. */
    adoptV1(key) {
      this.#save({ ...this.#state(), v1: key });
    }

    /** Forgets a key that the API refused for this reason, if it is of no use any more: then it says true. */
    refused(key, reason) {
      if (!ENDED.includes(reason)) return false;
      this.#drop(key);
      return true;
    }

    /** Forgets every key. */
    forget() {
      this.#save({});
    }

    async #findKey() {
      const v2 = await this.#isV2There();
      return this.#alone(() => (v2 ? this.#findV2() : this.#findV1()));
    }

    async #findV2() {
      const state = this.#state();
      if (state.v2 === undefined) return this.#enterV2(state);
      const [due, alive] = [isPast(state.v2.refresh_after), !isPast(state.v2.expires_at)];
      if (alive && (!due || this.#hasJustFailed())) return { key: state.v2.api_key, version: 2 };
      return this.#refresh(state, alive);
    }

    /** From a V1 key, which is kept for the way back, or anew. */
    async #enterV2(state) {
      if (state.v1 !== undefined) {
        if (this.#hasJustFailed()) return { key: state.v1, version: 1 };
        const migrated = await this.#call(PATHS.migrate, { legacy_key: state.v1 });
        if (migrated.ok) {
          this.#tell("migrated", { key_id: migrated.body.key_id });
          return this.#keepV2(state, migrated.body);
        }
        if (!isOfNoUse(migrated)) {
          this.#failedAtMs = Date.now();
          return { key: state.v1, version: 1 };
        }
        this.#tell("invalid", { status: migrated.status });
      }
      const { name, keyType: key_type, register } = this.#options;
      if (!register) {
        this.#failedAtMs = Date.now();
        throw new Error("there is no good key");
      }
      const registered = await this.#call(PATHS.register, { name, key_type });
      if (registered.ok) return this.#keepV2({ ...state, v1: undefined }, registered.body);
      throw this.#notRegistered(registered);
    }

    /** The same Idempotency-Key until an answer has come: a lost one is given again, and no second key is made. */
    async #refresh(state, alive) {
      const idempotencyKey = state.refreshing ?? global.crypto.randomUUID();
      this.#save({ ...state, refreshing: idempotencyKey });
      const body = { current_key: state.v2.api_key };
      const refreshed = await this.#call(PATHS.refresh, body, { "idempotency-key": idempotencyKey });
      if (refreshed.ok) {
        this.#tell("refreshed", { key_id: refreshed.body.key_id });
        const kept = this.#keepV2(state, refreshed.body);
        await this.#dropEndedV1(state.v1);
        return kept;
      }
      if (!alive || refreshed.status === 401)
        return this.#enterV2({ ...state, v2: undefined, refreshing: undefined });
      this.#failedAtMs = Date.now();
      return { key: state.v2.api_key, version: 2 };
    }

    /** The V1 key is the way back for as long as the server takes it. */
    async #dropEndedV1(v1) {
      if (v1 === undefined) return;
      const validated = await this.#call(PATHS.validate, undefined, { "x-api-key": v1 });
      if (isOfNoUse(validated)) this.#drop(v1);
    }

    async #findV1() {
      const state = this.#state();
      if (state.v1 !== undefined) return { key: state.v1, version: 1 };
      const { name, keyType: key_type } = this.#options;
      const registered = await this.#call(PATHS.registerV1, { name, key_type });
      if (!registered.ok) throw this.#notRegistered(registered);
      this.#save({ ...state, v1: registered.body.api_key });
      return { key: registered.body.api_key, version: 1 };
    }

    #keepV2(state, { api_key, key_id, expires_at, refresh_after }) {
      this.#save({ ...state, refreshing: undefined, v2: { api_key, key_id, expires_at, refresh_after } });
      return { key: api_key, version: 2 };
    }

    /** Forgets this key; what another tab has put in its place meanwhile stays. */
    #drop(key) {
      const { v1, v2, ...rest } = this.#state();
      this.#save({ ...rest, ...(v1 !== key && { v1 }), ...(v2?.api_key !== key && { v2 }) });
    }

    /** The validate call answers 401 where there is V2, and 404 where there is none. Anything else decides nothing. */
    async #isV2There() {
      if (this.v2Available !== undefined) return this.v2Available;
      const { there, atMs } = this.#detected;
      if (there === true || Date.now() - atMs < this.#options.recheckMs) return there === true;
      const { status } = await this.#call(PATHS.validate);
      const found = status === 401 || status === 200;
      if (found || status === 404) this.#detected = { there: found, atMs: Date.now() };
      if (!found) this.#tell("fallback", { status });
      return found;
    }

    /** A key is for the API alone: whoever else is called, as by a link that a user gave, does not get it. */
    #mayHaveKey(url) {
      const { baseUrl, origins } = this.#options;
      return [new URL(baseUrl, global.location?.href).origin, ...origins].includes(new URL(url).origin);
    }

    async #send(request, { key, version }) {
      if (version === 2) request.headers.set("authorization", `Bearer ${key}`);
      else request.headers.set("x-api-key", key);
      const answer = await global.fetch(request);
      if (answer.headers.has("x-latchkey-upgrade")) {
        const { headers: told } = answer;
        this.#tell("upgrade", { deprecation: told.get("deprecation"), sunset: told.get("sunset") });
      }
      return answer;
    }

    /** `status` is 0 when no answer comes; a `body` that cannot be read is empty, and then nothing is `ok`. */
    async #call(path, body, headers = {}) {
      try {
        const url = this.#options.baseUrl + path;
        const answer = await global.fetch(url, {
          ...confinement(url, "follow"),
          ...(body && { method: "POST", body: JSON.stringify(body) }),
          headers: body ? { "content-type": "application/json", ...headers } : headers,
          signal: AbortSignal.timeout(this.#options.timeoutMs),
        });
        const said = await answer.json().catch(() => undefined);
        return { ok: answer.ok && said instanceof Object, status: answer.status, body: said ?? {} };
      } catch (error) {
        this.#tell("error", { path, message: String(error) });
        return { ok: false, status: 0, body: {} };
      }
    }

    #notRegistered({ status, body }) {
      this.#tell("error", { path: "register", status });
      return new Error(`register: ${status} ${body.title ?? ""}`.trim());
    }

    /** Tabs that share a storage do this one after the other: the second one finds what the first one got. */
    #alone(work) {
      const { storage, storageKey } = this.#options;
      const { locks } = global.navigator ?? {};
      return storage && locks ? locks.request(`api-auth ${storageKey}`, work) : work();
    }

    #state() {
      const { storage, storageKey } = this.#options;
      if (!storage) return this.#memory;
      try {
        const state = JSON.parse(storage.getItem(storageKey) ?? "{}");
        return typeof state === "object" && state !== null ? state : {};
      } catch {
        return {};
      }
    }

    /** A storage that is full or forbidden is done without: the keys are in memory from then on. */
    #save(state) {
      const { storage, storageKey } = this.#options;
      this.#memory = state;
      try {
        storage?.setItem(storageKey, JSON.stringify(state));
      } catch (error) {
        this.#options.storage = undefined;
        this.#tell("error", { path: "storage", message: String(error) });
      }
    }

    #tell(type, detail) {
      this.dispatchEvent(new CustomEvent(type, { detail }));
    }
  }

  /**
   * Keeps a key from following a redirect to another origin, with which a browser would send `X-API-Key` and a body. Only the
   * browser sees where a redirect leads: it compares with the page's own origin, so elsewhere no redirect is followed.
   */
  function confinement(url, redirect) {
    const page = global.location?.origin;
    const isOwn = page !== undefined && new URL(url, global.location.href).origin === page;
    if (isOwn) return { mode: "same-origin" };
    return redirect === "follow" ? { redirect: "error" } : {};
  }

  /** A time that cannot be read is past. */
  const isPast = (time) => !(Date.now() < Date.parse(time));

  /** Whether a key was refused for good, as opposed to not now; the reason is the last part of the problem's type. */
  function isOfNoUse({ status, body: { type = "" } }) {
    const reason = String(type).split("/").at(-1).replaceAll("-", "_");
    return status === 400 || status === 410 || (status === 401 && ENDED.includes(reason));
  }

  global.ApiAuthMigration = { create: (options) => new ApiAuth(options), ApiAuth };
})(globalThis);
