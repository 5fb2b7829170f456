package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.util.Objects;

/**
 * One instance that could not be started.
 *
 * @param json the document as it came
 */
public record InstanceFailure(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public InstanceFailure {
        Objects.requireNonNull(json, "json");
    }

    /** {@return position among those asked for, from 0} */
    public int instance() {
        return Fields.integer(json, "instance");
    }

    /** {@return error code} */
    public String code() {
        return Fields.text(json, "code");
    }

    /** {@return error message} */
    public String message() {
        return Fields.text(json, "message");
    }
}
