import { hrefOf } from "../shell/route.ts";

export interface SubPagesProps {
  /** What the links are about, for screen readers. */
  readonly label: string;
  /** Each with its segment under the page; empty for the first one. */
  readonly items: readonly { readonly path: string; readonly title: string }[];
  readonly page: string;
  readonly current: string;
}

/** Links to the parts of one page. */
export function SubPages({ label, items, page, current }: SubPagesProps) {
  return (
    <nav class="sub-pages" aria-label={label}>
      <ul>
        {items.map(({ path, title }) => (
          <li key={path}>
            <a
              href={hrefOf([page, path].filter(Boolean))}
              aria-current={path === current ? "page" : undefined}
            >
              {title}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}
