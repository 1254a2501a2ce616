package lockstep.qmp;

import java.lang.annotation.Documented;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;

/** Marks what a schema calls unstable: it may change or go away without notice. */
@Documented
@Retention(RetentionPolicy.CLASS)
public @interface Unstable {}
