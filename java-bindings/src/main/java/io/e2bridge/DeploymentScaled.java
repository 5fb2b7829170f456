package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.time.Instant;
import java.util.List;
import java.util.Objects;

/**
 * Answer of {@link E2B#scaleE2BDeployment}.
 *
 * @param json the document as it came
 */
public record DeploymentScaled(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public DeploymentScaled {
        Objects.requireNonNull(json, "json");
    }

    /** {@return the deployment} */
    public String deploymentId() {
        return Fields.text(json, "deployment_id");
    }

    /** {@return {@code scaled}, {@code partial}, or {@code ended} (0 instances)} */
    public String status() {
        return Fields.text(json, "status");
    }

    /** {@return number of instances now} */
    public int instances() {
        return Fields.integer(json, "instances");
    }

    /** {@return number before} */
    public int previousInstances() {
        return Fields.integer(json, "previous_instances");
    }

    /** {@return number asked for} */
    public int requestedInstances() {
        return Fields.integer(json, "requested_instances");
    }

    /** {@return their sandbox ids} */
    public List<String> sandboxIds() {
        return Fields.texts(json, "sandbox_ids");
    }

    /** {@return true when the count follows the load} */
    public boolean autoScale() {
        return Fields.flag(json, "auto_scale");
    }

    /** {@return what could not be started} */
    public List<InstanceFailure> failures() {
        return Fields.objects(json, "failures", InstanceFailure::new);
    }

    /** {@return when this was answered} */
    public Instant timestamp() {
        return Fields.time(json, "timestamp");
    }
}
