/**
 * Where the page is.
 */
import { signal } from "@preact/signals"
import { parse, type Route } from "../model/routes.ts"

export const route = signal<Route>(parse(location.hash))

addEventListener("hashchange", () => (route.value = parse(location.hash)))
