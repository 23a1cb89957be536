/**
 * Asks for a key.
 */
import { useState } from "preact/hooks"
import { sentence } from "../api/client.ts"
import { farewell, signIn } from "../store/session.ts"
import { Brand } from "../ui/icons.tsx"

export const SignIn = () => {
  const [key, setKey] = useState("")
  const [isBusy, setBusy] = useState(false)
  const [fault, setFault] = useState<string | undefined>(undefined)

  const onSubmit = async (event: Event): Promise<void> => {
    event.preventDefault()
    if (key.trim() === "") return setFault("Enter a key of the admin API.")
    // A header holds nothing else, so no key has.
    if (!/^[\x21-\x7e]+$/.test(key.trim())) return setFault("The server does not know this key.")
    setBusy(true)
    const problem = await signIn(key.trim())
    setBusy(false)
    if (problem === undefined) return
    setFault(
      problem._tag === "Refused" && problem.status === 401 ? "The server does not know this key." : sentence(problem)
    )
  }

  const why = fault ?? farewell.value
  return (
    <main class="sign-in">
      <form class="card sign-in-card" onSubmit={(event) => void onSubmit(event)} noValidate>
        <div class="sign-in-brand">
          <Brand size={40} />
          <div>
            <h1>Breakwater</h1>
            <p class="lead">{location.host}</p>
          </div>
        </div>
        <label class="field" for="key">
          <span class="field-label">API key</span>
          <input
            id="key"
            type="password"
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            autofocus
            value={key}
            aria-invalid={why !== undefined}
            aria-describedby={why === undefined ? "key-help" : "key-fault key-help"}
            onInput={(event) => {
              setKey(event.currentTarget.value)
              setFault(undefined)
            }}
          />
        </label>
        {why === undefined ? null : (
          <p id="key-fault" class="fault" role="alert">
            {why}
          </p>
        )}
        <button type="submit" class="button primary wide" disabled={isBusy}>
          {isBusy ? "Signing in…" : "Sign in"}
        </button>
        <p id="key-help" class="help">
          The key stays in this tab, is sent in a header only, and is forgotten when the tab is closed.
        </p>
      </form>
    </main>
  )
}
