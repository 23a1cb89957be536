/**
 * The places of the page, as what stands behind the `#`. The server needs to
 * know one path only.
 */
export type Route =
  | { readonly page: "overview" | "timeline" | "alerts" | "configuration" | "benchmarks" | "environment" }
  | { readonly page: "operation"; readonly name: string }

type Simple = Exclude<Route["page"], "operation">

export const titles: Readonly<Record<Simple, string>> = {
  overview: "Overview",
  timeline: "Timeline",
  alerts: "Alerts",
  configuration: "Configuration",
  benchmarks: "Benchmarks",
  environment: "Environment"
}

export const parse = (hash: string): Route => {
  const [, page = "", name] = /^#\/?([a-z]*)(?:\/(.*))?$/.exec(hash) ?? []
  if (page === "operations" && name !== undefined && name !== "") {
    try {
      return { page: "operation", name: decodeURIComponent(name) }
    } catch {
      return { page: "overview" }
    }
  }
  return Object.hasOwn(titles, page) ? { page: page as Simple } : { page: "overview" }
}

export const hrefOf = (route: Route): string =>
  route.page === "operation"
    ? `#/operations/${encodeURIComponent(route.name)}`
    : route.page === "overview"
      ? "#/"
      : `#/${route.page}`
