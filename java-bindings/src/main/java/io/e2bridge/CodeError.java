package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.util.Objects;

/**
 * An exception in the code, or a shell's non-zero exit.
 *
 * @param json the document as it came
 */
public record CodeError(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public CodeError {
        Objects.requireNonNull(json, "json");
    }

    /** {@return for example {@code TypeError}, {@code ZeroDivisionError}, {@code ExitStatus}} */
    public String name() {
        return Fields.text(json, "name");
    }

    /** {@return the message} */
    public String value() {
        return Fields.text(json, "value");
    }

    /** {@return the stack, as the interpreter prints it; may be empty} */
    public String traceback() {
        return Fields.text(json, "traceback");
    }
}
