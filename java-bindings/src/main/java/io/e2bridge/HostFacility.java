package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.util.Objects;

/**
 * One facility of the host in {@link HostReport}.
 *
 * @param json the document as it came
 */
public record HostFacility(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public HostFacility {
        Objects.requireNonNull(json, "json");
    }

    /** {@return for example {@code user_namespaces}, {@code cgroup_memory}, {@code landlock}} */
    public String name() {
        return Fields.text(json, "name");
    }

    /** {@return true when it works, found by trying it} */
    public boolean available() {
        return Fields.flag(json, "available");
    }

    /** {@return what was found: a version, a mechanism, the error} */
    public String detail() {
        return Fields.text(json, "detail");
    }

    /** {@return command or setting that mends it; null when nothing is to mend} */
    public String remedy() {
        return Fields.optionalText(json, "remedy");
    }
}
