/**
 * Starts the page.
 */
import { render } from "preact"
import { Alerts } from "./pages/Alerts.tsx"
import { Benchmarks } from "./pages/Benchmarks.tsx"
import { ConfigurationPage } from "./pages/ConfigurationPage.tsx"
import { EnvironmentPage } from "./pages/EnvironmentPage.tsx"
import { OperationPage } from "./pages/OperationPage.tsx"
import { Overview } from "./pages/Overview.tsx"
import { SignIn } from "./pages/SignIn.tsx"
import { Timeline } from "./pages/Timeline.tsx"
import { route } from "./store/route.ts"
import { resume, session } from "./store/session.ts"
import * as theme from "./store/theme.ts"
import { Shell } from "./ui/Shell.tsx"

const Page = () => {
  const at = route.value
  switch (at.page) {
    case "operation":
      return <OperationPage key={at.name} name={at.name} />
    case "overview":
      return <Overview />
    case "timeline":
      return <Timeline />
    case "alerts":
      return <Alerts />
    case "configuration":
      return <ConfigurationPage />
    case "benchmarks":
      return <Benchmarks />
    case "environment":
      return <EnvironmentPage />
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

theme.follow()
resume()
render(<App />, document.getElementById("app")!)
