/*
 * API keys in a browser: uses V2 keys if the server supports them, V1 keys otherwise, and migrates from V1 to V2. A classic
 * script without dependencies; `/api-auth-migration.mjs` is the same as an ES module. Documentation: docs/guides/browser.md.
 */
((global) => {
  const PATHS = {
    validate: "/api/auth/v2/validate",
    register: "/api/auth/v2/register",
    refresh: "/api/auth/v2/refresh",
    migrate: "/api/auth/v2/migrate",
    registerV1: "/api/auth/register_api_key",
    limits: "/api/auth/v2/limits",
    usage: "/api/auth/v2/usage",
  };
  const DEFAULTS = {
    baseUrl: "",
    /** Further origins that may receive the key. Requests to other origins are sent without it. */
    origins: [],
    name: "browser",
    keyType: "basic",
    /** If false, a call without a valid key fails instead of registering a new key. */
    register: true,
    storageKey: "api-auth",
    /** Milliseconds before a failed step is tried again: detection of V2, an exchange, a refresh. */
    recheckMs: 60_000,
    /** Timeout of one call of the key API, in milliseconds. */
    timeoutMs: 10_000,
  };

  /** Reasons that make a key permanently unusable. A disabled key is not among them: it may be enabled again. */
  const INVALID_KEY_REASONS = [
    "credential_invalid",
    "key_expired",
    "key_revoked",
    "key_superseded",
    "legacy_key_removed",
  ];

  class ApiAuth extends EventTarget {
    /** Set it to false to use V1 even if the server supports V2: a quick rollback. */
    v2Available;
    #options;
    #memory = {};
    #detected = { available: undefined, atMs: Number.NEGATIVE_INFINITY };
    #failedAtMs = Number.NEGATIVE_INFINITY;
    #pending;
    #hasJustFailed = () => Date.now() - this.#failedAtMs < this.#options.recheckMs;

    constructor(options) {
      super();
      this.#options = { ...DEFAULTS, ...options };
      this.v2Available = this.#options.v2Available;
    }

    /** Returns the key to send: `{ key, version }`. Registers, migrates or refreshes it if due, once for concurrent callers. */
    getKey() {
      this.#pending ??= this.#findKey().finally(() => {
        this.#pending = undefined;
      });
      return this.#pending;
    }

    /** `fetch` with the key attached. Replaces the key once if Latchkey rejects it, but not if the upstream does. */
    async fetch(input, init) {
      const { baseUrl } = this.#options;
      const isPath = typeof input === "string" && input.startsWith("/") && !input.startsWith("//");
      const request = new Request(isPath ? baseUrl + input : input, init);
      if (!this.#mayHaveKey(request.url)) return global.fetch(request);
      const confined = new Request(request, confinement(request.url, request.redirect));
      const used = await this.getKey();
      const first = await this.#send(confined.clone(), used);
      if (first.status !== 401 || !INVALID_KEY_REASONS.includes(first.headers.get("x-latchkey-reason")))
        return first;
      this.#drop(used.key);
      return this.#send(confined, await this.getKey());
    }

    /** Adopts a V1 key that the page has stored itself. */
    adoptV1(key) {
      this.#save({ ...this.#state(), v1: key });
    }

    /** Call it if the API rejects a key. Forgets the key and returns true if the reason makes it permanently unusable. */
    refused(key, reason) {
      if (!INVALID_KEY_REASONS.includes(reason)) return false;
      this.#drop(key);
      return true;
    }

    /** Forgets every key. */
    forget() {
      this.#save({});
    }

    async #findKey() {
      const useV2 = await this.#isV2Available();
      return this.#withLock(() => (useV2 ? this.#findV2() : this.#findV1()));
    }

    async #findV2() {
      const state = this.#state();
      if (state.v2 === undefined) return this.#enterV2(state);
      const [due, alive] = [isPast(state.v2.refresh_after), !isPast(state.v2.expires_at)];
      if (alive && (!due || this.#hasJustFailed())) return { key: state.v2.api_key, version: 2 };
      return this.#refresh(state, alive);
    }

    /** Migrates the V1 key, which is kept for a rollback, or registers a new V2 key. */
    async #enterV2(state) {
      if (state.v1 !== undefined) {
        if (this.#hasJustFailed()) return { key: state.v1, version: 1 };
        const migrated = await this.#call(PATHS.migrate, { legacy_key: state.v1 });
        if (migrated.ok) {
          this.#emit("migrated", { key_id: migrated.body.key_id });
          return this.#keepV2(state, migrated.body);
        }
        if (!isInvalidKey(migrated)) {
          this.#failedAtMs = Date.now();
          return { key: state.v1, version: 1 };
        }
        this.#emit("invalid", { status: migrated.status });
      }
      const { name, keyType: key_type, register } = this.#options;
      if (!register) {
        this.#failedAtMs = Date.now();
        throw new Error("there is no valid key");
      }
      const registered = await this.#call(PATHS.register, { name, key_type });
      if (registered.ok) return this.#keepV2({ ...state, v1: undefined }, registered.body);
      throw this.#registrationError(registered);
    }

    /** Sends the same Idempotency-Key until a response arrives, so that a lost response does not create a second key. */
    async #refresh(state, alive) {
      const idempotencyKey = state.refreshing ?? global.crypto.randomUUID();
      this.#save({ ...state, refreshing: idempotencyKey });
      const body = { current_key: state.v2.api_key };
      const refreshed = await this.#call(PATHS.refresh, body, { "idempotency-key": idempotencyKey });
      if (refreshed.ok) {
        this.#emit("refreshed", { key_id: refreshed.body.key_id });
        const kept = this.#keepV2(state, refreshed.body);
        await this.#dropEndedV1(state.v1);
        return kept;
      }
      if (!alive || refreshed.status === 401)
        return this.#enterV2({ ...state, v2: undefined, refreshing: undefined });
      this.#failedAtMs = Date.now();
      return { key: state.v2.api_key, version: 2 };
    }

    /** Keeps the V1 key for a rollback as long as the server accepts it. */
    /** The plan, rate limits and quotas of the key. Rejects if the server denies the call or does not respond. */
    limits() {
      return this.#read(PATHS.limits);
    }

    /** The usage of the key. `query` may have `from`, `to` and `by`. Rejects like `limits`. */
    usage(query = {}) {
      return this.#read(`${PATHS.usage}?${new URLSearchParams(query)}`);
    }

    async #read(path) {
      const { key, version } = await this.getKey();
      const headers = version === 2 ? { authorization: `Bearer ${key}` } : { "x-api-key": key };
      const { ok, status, body } = await this.#call(path, undefined, headers);
      if (!ok) throw new Error(`${path}: ${status} ${body.title ?? ""}`.trim());
      return body;
    }

    async #dropEndedV1(v1) {
      if (v1 === undefined) return;
      const validated = await this.#call(PATHS.validate, undefined, { "x-api-key": v1 });
      if (isInvalidKey(validated)) this.#drop(v1);
    }

    async #findV1() {
      const state = this.#state();
      if (state.v1 !== undefined) return { key: state.v1, version: 1 };
      const { name, keyType: key_type } = this.#options;
      const registered = await this.#call(PATHS.registerV1, { name, key_type });
      if (!registered.ok) throw this.#registrationError(registered);
      this.#save({ ...state, v1: registered.body.api_key });
      return { key: registered.body.api_key, version: 1 };
    }

    #keepV2(state, { api_key, key_id, expires_at, refresh_after }) {
      this.#save({ ...state, refreshing: undefined, v2: { api_key, key_id, expires_at, refresh_after } });
      return { key: api_key, version: 2 };
    }

    /** Forgets this key, but not a key with which another tab has replaced it in the meantime. */
    #drop(key) {
      const { v1, v2, ...rest } = this.#state();
      this.#save({ ...rest, ...(v1 !== key && { v1 }), ...(v2?.api_key !== key && { v2 }) });
    }

    /** The validate call returns 401 if the server supports V2, and 404 if it does not. Other statuses are inconclusive. */
    async #isV2Available() {
      if (this.v2Available !== undefined) return this.v2Available;
      const { available, atMs } = this.#detected;
      if (available === true || Date.now() - atMs < this.#options.recheckMs) return available === true;
      const { status } = await this.#call(PATHS.validate);
      const found = status === 401 || status === 200;
      if (found || status === 404) this.#detected = { available: found, atMs: Date.now() };
      if (!found) this.#emit("fallback", { status });
      return found;
    }

    /** Only the API may receive the key: a URL may come from a user and lead to another origin. */
    #mayHaveKey(url) {
      const { baseUrl, origins } = this.#options;
      return [new URL(baseUrl, global.location?.href).origin, ...origins].includes(new URL(url).origin);
    }

    async #send(request, { key, version }) {
      if (version === 2) request.headers.set("authorization", `Bearer ${key}`);
      else request.headers.set("x-api-key", key);
      const response = await global.fetch(request);
      if (response.headers.has("x-latchkey-upgrade")) {
        const { headers } = response;
        this.#emit("upgrade", { deprecation: headers.get("deprecation"), sunset: headers.get("sunset") });
      }
      return response;
    }

    /** `status` is 0 if no response arrives. If the body is not a JSON object, `body` is empty and `ok` is false. */
    async #call(path, body, headers = {}) {
      try {
        const url = this.#options.baseUrl + path;
        const response = await global.fetch(url, {
          ...confinement(url, "follow"),
          ...(body && { method: "POST", body: JSON.stringify(body) }),
          headers: body ? { "content-type": "application/json", ...headers } : headers,
          signal: AbortSignal.timeout(this.#options.timeoutMs),
        });
        const json = await response.json().catch(() => undefined);
        return { ok: response.ok && json instanceof Object, status: response.status, body: json ?? {} };
      } catch (error) {
        this.#emit("error", { path, message: String(error) });
        return { ok: false, status: 0, body: {} };
      }
    }

    #registrationError({ status, body }) {
      this.#emit("error", { path: "register", status });
      return new Error(`register: ${status} ${body.title ?? ""}`.trim());
    }

    /** Serializes the work over tabs that share a storage, so that the second tab finds the key of the first. */
    #withLock(work) {
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

    /** If the storage is full or forbidden, keeps the keys in memory from then on. */
    #save(state) {
      const { storage, storageKey } = this.#options;
      this.#memory = state;
      try {
        storage?.setItem(storageKey, JSON.stringify(state));
      } catch (error) {
        this.#options.storage = undefined;
        this.#emit("error", { path: "storage", message: String(error) });
      }
    }

    #emit(type, detail) {
      this.dispatchEvent(new CustomEvent(type, { detail }));
    }
  }

  /**
   * Prevents a redirect from taking the key to another origin: a browser would send `X-API-Key` and the body along. Only the
   * browser sees the target of a redirect. It can compare it with the page's origin; for other origins, redirects are errors.
   */
  function confinement(url, redirect) {
    const page = global.location?.origin;
    const isSameOrigin = page !== undefined && new URL(url, global.location.href).origin === page;
    if (isSameOrigin) return { mode: "same-origin" };
    return redirect === "follow" ? { redirect: "error" } : {};
  }

  /** An invalid time counts as past. */
  const isPast = (time) => !(Date.now() < Date.parse(time));

  /** Whether a key is rejected permanently, not only for now. The reason is the last part of the problem's type. */
  function isInvalidKey({ status, body: { type = "" } }) {
    const reason = String(type).split("/").at(-1).replaceAll("-", "_");
    return status === 400 || status === 410 || (status === 401 && INVALID_KEY_REASONS.includes(reason));
  }

  global.ApiAuthMigration = { create: (options) => new ApiAuth(options), ApiAuth };
})(globalThis);
