/**
 * @since 0.1.0
 */
export * as Admin from "./Admin.ts"
export * as AdminApi from "./AdminApi.ts"
export * as AdminClient from "./AdminClient.ts"
export * as AdminError from "./AdminError.ts"
export * as AdminHandlers from "./AdminHandlers.ts"
export * as AdminKeys from "./AdminKeys.ts"
