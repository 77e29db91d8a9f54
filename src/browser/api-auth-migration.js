/*
 * API keys in a browser: V2 where it is there, V1 where it is not, and the way from one to the other.
 *
 *   <script src="https://api.example.com/api-auth-migration.js"></script>
 *   const auth = ApiAuthMigration.create({ name: "my page" });
 *   const answer = await auth.fetch("/v1/chat/hello");
 *
 * No dependencies. `/api-auth-migration.mjs` is the same as an ES module. Documentation: docs/browser.md.
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
    name: "browser",
    keyType: "basic",
    storageKey: "api-auth",
    /** Milliseconds after which a server without V2 is asked again. */
    recheckMs: 60_000,
    /** Milliseconds that one call of the key API may take. */
    timeoutMs: 10_000,
  };

  /** Reasons for which a key is of no use any more. */
  const REFUSED = [
    "credential_invalid",
    "key_expired",
    "key_revoked",
    "key_superseded",
    "legacy_key_removed",
  ];

  class ApiAuth extends EventTarget {
    /** Set to false to go on with V1 whatever the server has: the quick way back. */
    v2Available = undefined;
    #options;
    #memory = {};
    #detected = { there: undefined, atMs: Number.NEGATIVE_INFINITY };
    #underWay = undefined;

    constructor(options) {
      super();
      this.#options = { ...DEFAULTS, ...options };
      if (options?.v2Available !== undefined) this.v2Available = options.v2Available;
    }

    /** The key to send, fetched, migrated or refreshed when that is due: `{ key, version }`. Once at a time. */
    getKey() {
      this.#underWay ??= this.#findKey().finally(() => {
        this.#underWay = undefined;
      });
      return this.#underWay;
    }

    /** `fetch` with the key attached. A key that Latchkey refuses is replaced once; what upstream refuses is not. */
    async fetch(input, init = {}) {
      const first = await this.#send(input, init, await this.getKey());
      if (first.status !== 401 || !REFUSED.includes(first.headers.get("x-latchkey-reason"))) return first;
      const used = this.#state();
      this.#save(this.#usesV2() ? { ...used, v2: undefined } : { ...used, v1: undefined });
      return this.#send(input, init, await this.getKey());
    }

    /** Takes a V1 key that the page has kept so far. */
    adoptV1(key) {
      this.#save({ ...this.#state(), v1: key });
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
      if (Date.now() < Date.parse(state.v2.refresh_after)) return { key: state.v2.api_key, version: 2 };
      return this.#refresh(state);
    }

    /** From a V1 key, which is kept for the way back, or anew. */
    async #enterV2(state) {
      if (state.v1 !== undefined) {
        const migrated = await this.#call(PATHS.migrate, { legacy_key: state.v1 });
        if (migrated.ok) {
          this.#tell("migrated", { key_id: migrated.body.key_id });
          return this.#keepV2(state, migrated.body);
        }
        if (migrated.status >= 500) return { key: state.v1, version: 1 };
        this.#tell("invalid", { status: migrated.status });
      }
      const { name, keyType: key_type } = this.#options;
      const registered = await this.#call(PATHS.register, { name, key_type });
      if (registered.ok) return this.#keepV2({ ...state, v1: undefined }, registered.body);
      throw this.#failure("register", registered);
    }

    /** The same Idempotency-Key until an answer has come: a lost one is given again, and no second key is made. */
    async #refresh(state) {
      const idempotencyKey = state.refreshing ?? global.crypto.randomUUID();
      this.#save({ ...state, refreshing: idempotencyKey });
      const body = { current_key: state.v2.api_key };
      const refreshed = await this.#call(PATHS.refresh, body, { "idempotency-key": idempotencyKey });
      if (refreshed.ok) {
        this.#tell("refreshed", { key_id: refreshed.body.key_id });
        return this.#keepV2(state, refreshed.body);
      }
      const alive = Date.now() < Date.parse(state.v2.expires_at);
      if (alive && refreshed.status !== 401) return { key: state.v2.api_key, version: 2 };
      return this.#enterV2({ ...state, v2: undefined, refreshing: undefined });
    }

    async #findV1() {
      const state = this.#state();
      if (state.v1 !== undefined) return { key: state.v1, version: 1 };
      const { name, keyType: key_type } = this.#options;
      const registered = await this.#call(PATHS.registerV1, { name, key_type });
      if (!registered.ok) throw this.#failure("register", registered);
      this.#save({ ...state, v1: registered.body.api_key });
      return { key: registered.body.api_key, version: 1 };
    }

    #keepV2(state, { api_key, key_id, expires_at, refresh_after }) {
      this.#save({ ...state, refreshing: undefined, v2: { api_key, key_id, expires_at, refresh_after } });
      return { key: api_key, version: 2 };
    }

    #usesV2() {
      return this.v2Available !== false && this.#detected.there === true;
    }

    /** The validate call answers 401 where there is V2, and 404 where there is none. No answer decides nothing. */
    async #isV2There() {
      if (this.v2Available !== undefined) return this.v2Available;
      const { there, atMs } = this.#detected;
      if (there === true || Date.now() - atMs < this.#options.recheckMs) return there === true;
      const answer = await this.#ask(PATHS.validate, { method: "GET" });
      const found = answer?.status === 401 || answer?.status === 200;
      if (answer !== undefined && answer.status < 500) this.#detected = { there: found, atMs: Date.now() };
      if (!found) this.#tell("fallback", { status: answer?.status });
      return found;
    }

    async #send(input, init, { key, version }) {
      const headers = new Headers(init.headers ?? (input instanceof Request ? input.headers : undefined));
      if (version === 2) headers.set("authorization", `Bearer ${key}`);
      else headers.set("x-api-key", key);
      const target =
        typeof input === "string" && input.startsWith("/") ? this.#options.baseUrl + input : input;
      const answer = await global.fetch(target, { ...init, headers });
      if (answer.headers.has("x-latchkey-upgrade")) {
        const { headers: told } = answer;
        this.#tell("upgrade", { deprecation: told.get("deprecation"), sunset: told.get("sunset") });
      }
      return answer;
    }

    async #call(path, body, headers = {}) {
      const answer = await this.#ask(path, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(body),
      });
      if (answer === undefined) return { ok: false, status: 503, body: {} };
      const text = await answer.text();
      try {
        return { ok: answer.ok, status: answer.status, body: JSON.parse(text) };
      } catch {
        return { ok: false, status: answer.ok ? 502 : answer.status, body: {} };
      }
    }

    /** Undefined when no answer comes. */
    async #ask(path, init) {
      try {
        const signal = AbortSignal.timeout(this.#options.timeoutMs);
        return await global.fetch(this.#options.baseUrl + path, { ...init, signal });
      } catch (error) {
        this.#tell("error", { path, message: String(error) });
        return undefined;
      }
    }

    #failure(what, { status, body }) {
      this.#tell("error", { path: what, status });
      return new Error(`${what}: ${status} ${body.title ?? ""}`.trim());
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

    #save(state) {
      const { storage, storageKey } = this.#options;
      if (storage) storage.setItem(storageKey, JSON.stringify(state));
      else this.#memory = state;
    }

    #tell(type, detail) {
      this.dispatchEvent(new CustomEvent(type, { detail }));
    }
  }

  global.ApiAuthMigration = { create: (options) => new ApiAuth(options), ApiAuth };
})(globalThis);
