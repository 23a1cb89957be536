/**
 * The bounds of a request, for the door and for the server around it.
 */

/** The largest body in bytes. @internal */
export const maxBodyBytes = 64 * 1024

/** The largest headers in bytes. @internal */
export const maxHeaderBytes = 16 * 1024

/** The longest URL in characters. @internal */
export const maxUrlLength = 8 * 1024
