/**
 * Starts the page.
 */
import { render } from "preact"
import { Overview } from "./pages/Overview.tsx"
import { SignIn } from "./pages/SignIn.tsx"
import { route } from "./store/route.ts"
import { resume, session } from "./store/session.ts"
import { Shell } from "./ui/Shell.tsx"
import "./store/theme.ts"

const Page = () => {
  switch (route.value.page) {
    default:
      return <Overview />
  }
}

const App = () =>
  session.value === undefined ? (
    <SignIn />
  ) : (
    <Shell>
      <Page />
    </Shell>
  )

resume()
render(<App />, document.getElementById("app")!)
