/** TLS for the process's channels, by the Java platform's own engine: credentials, who is allowed, and the byte stream. */
@NullMarked
package lockstep.runtime.tls;

import org.jspecify.annotations.NullMarked;
