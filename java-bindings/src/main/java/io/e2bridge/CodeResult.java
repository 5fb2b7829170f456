package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.time.Instant;
import java.util.List;
import java.util.Objects;

/**
 * Answer of {@link E2B#runE2BCode}.
 *
 * @param json the document as it came
 */
public record CodeResult(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public CodeResult {
        Objects.requireNonNull(json, "json");
    }

    /** {@return identifier of this execution} */
    public String executionId() {
        return Fields.text(json, "execution_id");
    }

    /** {@return where it ran} */
    public String sandboxId() {
        return Fields.text(json, "sandbox_id");
    }

    /** {@return {@code javascript}, {@code python} or {@code shell}} */
    public String language() {
        return Fields.text(json, "language");
    }

    /** {@return name of the context; null for a stateless run} */
    public String context() {
        return Fields.optionalText(json, "context");
    }

    /** {@return standard output} */
    public String stdout() {
        return Fields.text(json, "stdout");
    }

    /** {@return standard error} */
    public String stderr() {
        return Fields.text(json, "stderr");
    }

    /** {@return text of the last expression's value; null when there is none} */
    public String result() {
        return Fields.optionalText(json, "result");
    }

    /** {@return all results} */
    public List<CodeOutput> results() {
        return Fields.objects(json, "results", CodeOutput::new);
    }

    /** {@return the exception that ended the code; null when none did} */
    public CodeError error() {
        return Fields.optionalObject(json, "error", CodeError::new);
    }

    /** {@return true when the time-out ended it} */
    public boolean timedOut() {
        return Fields.flag(json, "timed_out");
    }

    /** {@return true when the memory limit ended it} */
    public boolean outOfMemory() {
        return Fields.flag(json, "out_of_memory");
    }

    /** {@return true when one stream was longer than what is kept (8 MiB each)} */
    public boolean truncated() {
        return Fields.flag(json, "truncated");
    }

    /** {@return wall time, milliseconds} */
    public double durationMs() {
        return Fields.number(json, "duration_ms");
    }

    /** {@return when this was answered} */
    public Instant timestamp() {
        return Fields.time(json, "timestamp");
    }
}
