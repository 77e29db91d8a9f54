import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { chromium } from "playwright-core";
import { expect } from "vitest";
import { chromiumBinary } from "../../scripts/chromium.ts";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import { newSecret } from "./keys.ts";
import type { TestedLatchkey } from "./latchkey.ts";
import { startLatchkey } from "./latchkey.ts";

/** An instance with a console, and a browser. */
export interface TestedConsole {
  readonly latchkey: TestedLatchkey;
  /** `http://127.0.0.1:PORT`. */
  readonly origin: string;
  readonly adminToken: string;
  /** A client with the admin token. */
  readonly client: LatchkeyClient;
  readonly browser: Browser;
  /** A new browser profile. Closed with the browser. */
  newContext(options?: BrowserContextOptions): Promise<BrowserContext>;
  /**
   * A page in a new profile, signed in with the admin token or with this credential.
   * @param place the fragment without `#`, such as `/keys`
   */
  open(
    place?: string,
    options?: { readonly credential?: string; readonly context?: BrowserContextOptions },
  ): Promise<Page>;
  stop(): Promise<void>;
}

export interface ConsoleOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly policy?: string;
}

export const WIDE = { width: 1440, height: 900 } as const;
export const NARROW = { width: 360, height: 740 } as const;

const CHROMIUM_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"];

export async function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: await chromiumBinary(), args: CHROMIUM_ARGS });
}

/** Starts an instance from its sources, which bundles the console on the first use, and a browser. */
export async function startConsole({ env = {}, policy }: ConsoleOptions = {}): Promise<TestedConsole> {
  const adminToken = env["ADMIN_TOKEN"] ?? newSecret();
  const settings = { JWT_SECRET: newSecret(), ADMIN_TOKEN: adminToken, ...env };
  const [latchkey, browser] = await Promise.all([
    startLatchkey(settings, policy === undefined ? {} : { policy }),
    launchBrowser(),
  ]);
  const origin = `http://${latchkey.http}`;
  const newContext = async (options: BrowserContextOptions = {}) => {
    const context = await browser.newContext({ viewport: WIDE, ...options });
    context.setDefaultTimeout(60_000);
    return context;
  };
  return {
    latchkey,
    origin,
    adminToken,
    client: createClient({ url: origin, token: adminToken }),
    browser,
    newContext,
    async open(place = "/", { credential = adminToken, context } = {}) {
      const page = await (await newContext(context)).newPage();
      await collectViolations(page);
      await page.goto(`${origin}/console#${place}`);
      await signIn(page, credential);
      return page;
    },
    async stop() {
      await browser.close();
      await latchkey.stop();
    },
  };
}

/** Fills in the form of the sign-in, and waits for the navigation. */
export async function signIn(page: Page, credential: string): Promise<void> {
  await page.getByLabel("Operator token or key").fill(credential);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("navigation", { name: "Pages" }).waitFor();
}

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface AxeResult {
  readonly violations: readonly {
    readonly id: string;
    readonly help: string;
    readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
  }[];
}

/** Expects no violation of axe-core's rules, in both colour schemes, wide and narrow. */
export async function expectAccessible(page: Page): Promise<void> {
  const before = page.viewportSize() ?? WIDE;
  // Playwright evaluates it beside the page's policy, which allows no injected script element.
  await page.evaluate(AXE);
  for (const viewport of [WIDE, NARROW]) {
    for (const colorScheme of ["light", "dark"] as const) {
      await page.setViewportSize(viewport);
      await page.emulateMedia({ colorScheme });
      const { violations } = await page.evaluate<AxeResult>("axe.run()");
      const found = violations.map(({ id, help, nodes }) => ({
        id: `${id}: ${help}`,
        nodes: nodes.map(({ html, failureSummary }) => `${html}\n${failureSummary}`),
      }));
      expect({ viewport, colorScheme, found }).toEqual({ viewport, colorScheme, found: [] });
      const overflow = await page.evaluate<number>(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth",
      );
      expect({ viewport, overflow }).toEqual({ viewport, overflow: 0 });
    }
  }
  await page.setViewportSize(before);
}

/** What a page has done that its content security policy forbids, and its uncaught errors. */
export interface Violations {
  all(): Promise<readonly string[]>;
}

const collected = new WeakMap<Page, Violations>();

/** Collects from the next navigation on. Pages of {@link TestedConsole.open} collect from their start. */
export async function collectViolations(page: Page): Promise<Violations> {
  const known = collected.get(page);
  if (known !== undefined) return known;
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (/Content Security Policy|TrustedHTML|TrustedScript/i.test(message.text()))
      errors.push(message.text());
  });
  await page.addInitScript(
    `window.violations = [];
     addEventListener("securitypolicyviolation", (event) =>
       violations.push(event.violatedDirective + " " + event.blockedURI + " " + event.sample));`,
  );
  const violations: Violations = {
    async all() {
      return [...errors, ...(await page.evaluate<string[]>("window.violations ?? []"))];
    },
  };
  collected.set(page, violations);
  return violations;
}

/**
 * Expects a secret nowhere in the page: neither in its markup and the values of its fields, nor in its URL, its history state,
 * its storage or its cookies that scripts can read.
 */
export async function expectNoTrace(page: Page, secret: string): Promise<void> {
  const places = await page.evaluate<Record<string, string>>(
    `({
      markup: document.documentElement.outerHTML,
      fields: [...document.querySelectorAll("input, textarea")].map(({ value }) => value).join("\\n"),
      url: location.href,
      history: JSON.stringify(history.state),
      cookies: document.cookie,
      localStorage: JSON.stringify({ ...localStorage }),
      sessionStorage: JSON.stringify({ ...sessionStorage }),
    })`,
  );
  const found = Object.entries(places).filter(([, text]) => text.includes(secret));
  expect(found.map(([place]) => place)).toEqual([]);
}
