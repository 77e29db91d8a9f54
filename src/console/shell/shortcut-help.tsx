import type { Page } from "../page.ts";
import { Button } from "../parts/button.tsx";
import { Dialog } from "../parts/dialog.tsx";

export interface ShortcutHelpProps {
  readonly pages: readonly Page[];
  onClose(): void;
}

export function ShortcutHelp({ pages, onClose }: ShortcutHelpProps) {
  const rows: readonly (readonly [readonly string[], string])[] = [
    ...pages.map(({ shortcut, title }) => [["g", shortcut], title] as const),
    [["/"], "Search on this page"],
    [["?"], "These shortcuts"],
    [["Esc"], "Close a dialog"],
  ];
  return (
    <Dialog title="Keyboard shortcuts" onClose={onClose}>
      <table class="plain">
        <thead class="visually-hidden">
          <tr>
            <th scope="col">Keys</th>
            <th scope="col">Action</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(([keys, action]) => (
            <tr key={action}>
              <td>
                {keys.map((key) => (
                  <kbd key={key}>{key}</kbd>
                ))}
              </td>
              <td>{action}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <div class="actions">
        <Button onClick={onClose}>Close</Button>
      </div>
    </Dialog>
  );
}
