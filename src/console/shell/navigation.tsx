import { useEffect, useRef } from "preact/hooks";
import type { Page } from "../page.ts";
import { hrefOf } from "./route.ts";

export interface NavigationProps {
  readonly pages: readonly Page[];
  /** The path of the page that is shown. */
  readonly path: string;
}

/** The links to the pages. On a narrow screen they scroll sideways to the one that is shown. */
export function Navigation({ pages, path }: NavigationProps) {
  const element = useRef<HTMLElement>(null);
  // When another page is shown.
  useEffect(() => {
    const current = element.current?.querySelector("[aria-current]");
    current?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [path]);
  return (
    <nav aria-label="Pages" ref={element}>
      <ul>
        {pages.map(({ path: to, title }) => (
          <li key={to}>
            <a href={hrefOf([to].filter(Boolean))} aria-current={to === path ? "page" : undefined}>
              {title}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}
