/** Loads a list page by page, as it is read. */
export async function* allPages<Page extends { readonly next_cursor: string | null }>(
  load: (continuation: { readonly cursor?: string }) => Promise<Page>,
): AsyncGenerator<Page> {
  let cursor: string | undefined;
  do {
    const page = await load(cursor === undefined ? {} : { cursor });
    yield page;
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
}
