/*
 * The drop-in: a page that sends its stored V1 key goes on as it is, and V2 keys go out. The script's own tag asks for it
 * (`data-auto`). It is the end of `/api-auth-migration.js`. Documentation: docs/guides/browser.md.
 */
((global) => {
  const script = global.document?.currentScript;
  if (!script?.hasAttribute("data-auto")) return;

  const { storageKey = "api_key", header = "X-API-Key", origins = "", v2Available } = script.dataset;
  const baseUrl = new URL(script.dataset.baseUrl ?? new URL(script.src).origin, global.location.href).href;
  const apiOrigins = [new URL(baseUrl).origin, ...origins.split(/[\s,]+/).filter((origin) => origin !== "")];
  /** In the page's storage, beside the page's own key, which stays as it is. */
  const SLOT = `api-auth ${storageKey}`;
  const IS_BEARER = header.toLowerCase() === "authorization";

  const auths = new Map();
  const auto = Object.assign(new EventTarget(), {
    /** False goes on with V1 at once: the quick way back. */
    v2Available: v2Available === undefined ? undefined : v2Available === "true",
  });

  /** The key that the page keeps; undefined where it keeps none. */
  function storedKey() {
    try {
      return global.localStorage.getItem(storageKey) ?? undefined;
    } catch {
      return undefined;
    }
  }

  /** The slot as the holder of one V1 key sees it: what another one has got is not there. */
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

  /** One for each V1 key, so that the keys of two users who take turns never mix. */
  function authOf(v1) {
    let auth = auths.get(v1);
    if (auth === undefined) {
      // It registers nothing: a key that is refused stays refused, as the page expects.
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

  /** Whoever logs out leaves nothing behind. */
  function tidy() {
    if (storedKey() !== undefined) return;
    auths.clear();
    try {
      global.localStorage.removeItem(SLOT);
    } catch {
      // A storage that is forbidden holds nothing.
    }
  }

  /** The V1 key of a request with this value in the page's header, if that is the stored one and the API is called. */
  function keyToReplace(url, value) {
    const { origin, pathname } = new URL(url, global.document.baseURI);
    // The key API judges the key that it is given.
    if (!apiOrigins.includes(origin) || pathname.startsWith("/api/auth/")) return undefined;
    const key = (IS_BEARER ? /^bearer +(.*)$/i.exec(value ?? "")?.[1] : value)?.trim();
    return key !== undefined && key !== "" && key === storedKey() ? key : undefined;
  }

  const headerValue = (key) => (IS_BEARER ? `Bearer ${key}` : key);

  /** The V2 key to send instead; undefined where the V1 key is to go on. */
  async function successorOf(v1) {
    try {
      const { key, version } = await authOf(v1).getKey();
      return version === 2 ? key : undefined;
    } catch {
      return undefined;
    }
  }

  /** Whether Latchkey refused this V2 key for good, which is then forgotten. */
  function isRefused(v1, key, status, reason) {
    return status === 401 && authOf(v1).refused(key, reason);
  }

  const realFetch = global.fetch.bind(global);

  async function fetchWithSuccessor(request, v1) {
    const key = await successorOf(v1);
    if (key === undefined) return realFetch(request);
    const first = await realFetch(withKey(request.clone(), key));
    if (!isRefused(v1, key, first.status, first.headers.get("x-latchkey-reason"))) return first;
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
      // What is wrong with the call is told by the real one.
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
  /** Of each XMLHttpRequest that was opened: `url`, `isAsync`, the `v1` that is held back, and whether it `waits`. */
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

  // A header that is set cannot be taken back, so the key is held back until the request is sent.
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
    const waited = call?.waits === true;
    calls.delete(this);
    real.abort.call(this);
    if (!waited) return;
    for (const type of ["abort", "loadend"]) this.dispatchEvent(new ProgressEvent(type));
  };

  async function sendWithSuccessor(xhr, call, body) {
    const { v1 } = call;
    const key = await successorOf(v1);
    // It was aborted or opened anew meanwhile.
    if (calls.get(xhr) !== call) return;
    call.waits = false;
    if (key !== undefined)
      xhr.addEventListener(
        "loadend",
        () => isRefused(v1, key, xhr.status, xhr.getResponseHeader("x-latchkey-reason")),
        { once: true },
      );
    real.setRequestHeader.call(xhr, header, headerValue(key ?? v1));
    real.send.call(xhr, body);
  }

  tidy();
  global.addEventListener("pagehide", tidy);
  global.ApiAuthMigration.auto = auto;
})(globalThis);
