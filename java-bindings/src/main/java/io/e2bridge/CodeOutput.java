package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.util.Objects;

/**
 * One rich result of a code run.
 *
 * @param json the document as it came
 */
public record CodeOutput(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public CodeOutput {
        Objects.requireNonNull(json, "json");
    }

    /** {@return text form} */
    public String text() {
        return Fields.text(json, "text");
    }

    /** {@return the value as JSON where it has such a form; null otherwise} */
    public JsonNode value() {
        return Fields.optionalValue(json, "json");
    }

    /** {@return true for the value of the last expression, false for what was displayed} */
    public boolean isMainResult() {
        return Fields.flag(json, "is_main_result");
    }
}
