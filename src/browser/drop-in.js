/*
 * The drop-in: a page keeps sending its stored V1 key, and the script replaces it with a V2 key. The attribute `data-auto` of
 * the script tag enables it. It is appended to `/api-auth-migration.js`. Documentation: docs/guides/browser.md.
 */
((global) => {
  const script = global.document?.currentScript;
  if (!script?.hasAttribute("data-auto")) return;

  const { storageKey = "api_key", header = "X-API-Key", origins = "", v2Available } = script.dataset;
  const baseUrl = new URL(script.dataset.baseUrl ?? new URL(script.src).origin, global.location.href).href;
  const apiOrigins = [new URL(baseUrl).origin, ...origins.split(/[\s,]+/).filter((origin) => origin !== "")];
  /** The entry in the page's storage. The page's own key has another entry, which is not changed. */
  const SLOT = `api-auth ${storageKey}`;
  const IS_BEARER = header.toLowerCase() === "authorization";

  const auths = new Map();
  const auto = Object.assign(new EventTarget(), {
    /** If false, V1 is used at once: a quick rollback. */
    v2Available: v2Available === undefined ? undefined : v2Available === "true",
  });

  /** The key that the page has stored; undefined if there is none. */
  function storedKey() {
    try {
      return global.localStorage.getItem(storageKey) ?? undefined;
    } catch {
      return undefined;
    }
  }

  /** A view of the slot for one V1 key. An entry that belongs to another V1 key is hidden. */
  function slotOf(v1) {
    return {
      getItem(name) {
        const text = global.localStorage.getItem(name);
        return ownerOf(text) === v1 ? text : null;
      },
      setItem(name, text) {
        global.localStorage.setItem(name, JSON.stringify({ ...JSON.parse(text), owner: v1 }));
      },
    };
  }

  function ownerOf(text) {
    try {
      return JSON.parse(text ?? "{}")?.owner;
    } catch {
      return undefined;
    }
  }

  /** One instance per V1 key, so that the keys of two users of the same page never mix. */
  function authOf(v1) {
    let auth = auths.get(v1);
    if (auth === undefined) {
      // It never registers a key: if a key is rejected, the page must see that.
      auth = global.ApiAuthMigration.create({
        baseUrl: baseUrl.replace(/\/$/, ""),
        storage: slotOf(v1),
        storageKey: SLOT,
        register: false,
      });
      for (const type of ["fallback", "migrated", "refreshed", "invalid", "error"])
        auth.addEventListener(type, ({ detail }) => auto.dispatchEvent(new CustomEvent(type, { detail })));
      auths.set(v1, auth);
    }
    if (slotOf(v1).getItem(SLOT) === null) auth.adoptV1(v1);
    auth.v2Available = auto.v2Available;
    return auth;
  }

  /** Removes the V2 key after the page has removed its own key, as on logout. */
  function clearAfterLogout() {
    if (storedKey() !== undefined) return;
    auths.clear();
    try {
      global.localStorage.removeItem(SLOT);
    } catch {
      // A forbidden storage contains nothing.
    }
  }

  /** The V1 key in a request with this header value, if it is the stored key and the request goes to the API. */
  function keyToReplace(url, value) {
    const { origin, pathname } = new URL(url, global.document.baseURI);
    // Calls of the key API keep the key that the page sends.
    if (!apiOrigins.includes(origin) || pathname.startsWith("/api/auth/")) return undefined;
    const key = (IS_BEARER ? /^bearer +(.*)$/i.exec(value ?? "")?.[1] : value)?.trim();
    return key !== undefined && key !== "" && key === storedKey() ? key : undefined;
  }

  const headerValue = (key) => (IS_BEARER ? `Bearer ${key}` : key);

  /** The V2 key to send instead; undefined if the V1 key must be sent. */
  async function successorOf(v1) {
    try {
      const { key, version } = await authOf(v1).getKey();
      return version === 2 ? key : undefined;
    } catch {
      return undefined;
    }
  }

  /** Whether Latchkey rejected this V2 key permanently. If so, the key is forgotten. */
  function dropIfRejected(v1, key, status, reason) {
    return status === 401 && authOf(v1).refused(key, reason);
  }

  const realFetch = global.fetch.bind(global);

  async function fetchWithSuccessor(request, v1) {
    const key = await successorOf(v1);
    if (key === undefined) return realFetch(request);
    const first = await realFetch(withKey(request.clone(), key));
    if (!dropIfRejected(v1, key, first.status, first.headers.get("x-latchkey-reason"))) return first;
    const next = await successorOf(v1);
    return realFetch(next === undefined ? request : withKey(request, next));
  }

  function withKey(request, key) {
    request.headers.set(header, headerValue(key));
    return request;
  }

  global.fetch = function fetch(input, init) {
    try {
      const isRequest = input instanceof Request;
      const headers = new Headers(init?.headers ?? (isRequest ? input.headers : undefined));
      const v1 = keyToReplace(isRequest ? input.url : input, headers.get(header));
      if (v1 !== undefined) return fetchWithSuccessor(new Request(input, init), v1);
    } catch {
      // The real function reports the error in the arguments.
    }
    return realFetch(input, init);
  };

  const { prototype } = global.XMLHttpRequest;
  const real = {
    open: prototype.open,
    setRequestHeader: prototype.setRequestHeader,
    send: prototype.send,
    abort: prototype.abort,
  };
  /** For each open XMLHttpRequest: `url`, `isAsync`, the withheld V1 key `v1`, and whether `send` `waits` for a V2 key. */
  const calls = new WeakMap();

  prototype.open = function open(method, url, ...rest) {
    calls.set(this, { url, isAsync: rest.length === 0 || Boolean(rest[0]) });
    try {
      return real.open.call(this, method, url, ...rest);
    } catch (error) {
      calls.delete(this);
      throw error;
    }
  };

  // A header cannot be unset, so the key is withheld until the request is sent.
  prototype.setRequestHeader = function setRequestHeader(name, value) {
    const call = calls.get(this);
    const isKey = call?.isAsync && String(name).toLowerCase() === header.toLowerCase();
    const v1 = isKey ? keyToReplace(call.url, String(value)) : undefined;
    if (v1 === undefined || call.v1 !== undefined) return real.setRequestHeader.call(this, name, value);
    call.v1 = v1;
    return undefined;
  };

  prototype.send = function send(body) {
    const call = calls.get(this);
    if (call?.v1 === undefined) return real.send.call(this, body);
    if (call.waits) throw new DOMException("The object's state must be OPENED.", "InvalidStateError");
    call.waits = true;
    void sendWithSuccessor(this, call, body);
    return undefined;
  };

  prototype.abort = function abort() {
    const call = calls.get(this);
    const wasWaiting = call?.waits === true;
    calls.delete(this);
    real.abort.call(this);
    if (!wasWaiting) return;
    for (const type of ["abort", "loadend"]) this.dispatchEvent(new ProgressEvent(type));
  };

  async function sendWithSuccessor(xhr, call, body) {
    const { v1 } = call;
    const key = await successorOf(v1);
    // The request was aborted or reopened in the meantime.
    if (calls.get(xhr) !== call) return;
    call.waits = false;
    if (key !== undefined)
      xhr.addEventListener(
        "loadend",
        () => dropIfRejected(v1, key, xhr.status, xhr.getResponseHeader("x-latchkey-reason")),
        { once: true },
      );
    real.setRequestHeader.call(xhr, header, headerValue(key ?? v1));
    real.send.call(xhr, body);
  }

  clearAfterLogout();
  global.addEventListener("pagehide", clearAfterLogout);
  global.ApiAuthMigration.auto = auto;
})(globalThis);
