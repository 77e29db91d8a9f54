import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Page } from "../page.ts";
import { Missing } from "../parts/states.tsx";
import { Account } from "./account.tsx";
import { Navigation } from "./navigation.tsx";
import { PageView } from "./page-view.tsx";
import { goTo, hrefOf, useRoute } from "./route.ts";
import { ShortcutHelp } from "./shortcut-help.tsx";
import { useShortcuts } from "./shortcuts.ts";

/** The navigation, and the page that the URL names. */
export function Frame({ pages }: { readonly pages: readonly Page[] }) {
  const route = useRoute();
  const [isHelpOpen, setHelpOpen] = useState(false);
  const main = useRef<HTMLElement>(null);
  const [path = "", ...segments] = route.segments;
  const page = pages.find((candidate) => candidate.path === path);
  useEffect(() => {
    document.title = `${page?.title ?? "Not found"} · Latchkey`;
  }, [page]);
  const isFirst = useRef(true);
  // When the place changes.
  useEffect(() => {
    // The browser has the focus right after the page has loaded.
    if (!isFirst.current) main.current?.focus({ preventScroll: true });
    isFirst.current = false;
    scrollTo(0, 0);
  }, [route.segments.join("/")]);
  const search = useCallback(() => {
    main.current?.querySelector<HTMLInputElement>("input[type=search]")?.focus();
  }, []);
  const actions = useMemo(
    () => ({
      goTo(key: string) {
        const target = pages.find(({ shortcut }) => shortcut === key);
        if (target !== undefined) goTo(hrefOf([target.path].filter(Boolean)));
      },
      help: () => setHelpOpen(true),
      search,
    }),
    [pages, search],
  );
  useShortcuts(actions);
  return (
    <div class="frame">
      {/* biome-ignore lint/a11y/useValidAnchor: It moves the focus; its target would change the place. */}
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to the content
      </a>
      <header class="bar">
        <a class="brand" href={hrefOf([])}>
          Latchkey
        </a>
        <Navigation pages={pages} path={path} />
        <Account onHelp={() => setHelpOpen(true)} />
      </header>
      <main ref={main} id="main" tabIndex={-1}>
        {page === undefined ? (
          <Missing what="page" />
        ) : (
          <PageView key={page.path} page={page} route={{ segments, query: route.query }} />
        )}
      </main>
      {isHelpOpen && <ShortcutHelp pages={pages} onClose={() => setHelpOpen(false)} />}
    </div>
  );
}
