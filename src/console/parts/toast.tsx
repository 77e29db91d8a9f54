import type { ComponentChildren } from "preact";
import { createContext } from "preact";
import { useCallback, useContext, useState } from "preact/hooks";
import { Button } from "./button.tsx";

type ShowToast = (text: string) => void;

const Toast = createContext<ShowToast>(() => {});

const SHOWN_MS = 6000;

/** Says that an action is done, wherever the person is. Problems are shown where the action was, not here. */
export function useToast(): ShowToast {
  return useContext(Toast);
}

export function Toasts({ children }: { readonly children: ComponentChildren }) {
  const [toast, setToast] = useState<{ readonly text: string } | undefined>(undefined);
  const show = useCallback((text: string) => {
    const own = { text };
    setToast(own);
    setTimeout(() => setToast((shown) => (shown === own ? undefined : shown)), SHOWN_MS);
  }, []);
  return (
    <Toast.Provider value={show}>
      {children}
      <div class="toasts" role="status">
        {toast !== undefined && (
          <div class="toast">
            <span>{toast.text}</span>
            <Button kind="quiet" label="Dismiss" onClick={() => setToast(undefined)}>
              ×
            </Button>
          </div>
        )}
      </div>
    </Toast.Provider>
  );
}
