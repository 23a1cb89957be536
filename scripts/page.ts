/**
 * Builds the dashboard's page before tests that serve it.
 */
import { ensure } from "../packages/dashboard/scripts/build.ts"

export default async (): Promise<void> => {
  await ensure()
}
