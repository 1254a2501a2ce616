package lockstep.qmp;

import java.lang.annotation.Documented;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;

/** The feature flags that a schema gives a definition, a member or a value. */
@Documented
@Retention(RetentionPolicy.CLASS)
public @interface Features {
    /** Names of the features. */
    String[] value();
}
