import type { ComponentType } from "preact";
import type { Scope } from "./data/context.ts";
import type { Route } from "./shell/route.ts";

export interface PageProps {
  /** The place behind the page's own path. */
  readonly route: Route;
}

/** One page of the console. */
export interface Page {
  /** The first segment of its place; empty for the first page. */
  readonly path: string;
  readonly title: string;
  /** The key after `g`. */
  readonly shortcut: string;
  /** The scopes that it cannot do without. A person who lacks one sees which. */
  readonly scopes: readonly Scope[];
  readonly component: ComponentType<PageProps>;
}
