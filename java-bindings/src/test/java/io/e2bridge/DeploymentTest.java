package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Deployments: several sandboxes under one id, all or none, scaled. */
class DeploymentTest extends EngineTest {
    /** A configuration as a record. */
    public record Settings(int instances, String strategy, Map<String, String> env) {}

    @AfterEach
    void nothingIsLeft() {
        for (SandboxSummary one : e2b().listE2BSandboxes().sandboxes()) {
            end(one.sandboxId());
        }
    }

    @Test
    void theCallThatTheReferenceRefused() {
        String sandbox = base();
        e2b().writeE2BFile(sandbox, "/opt/t", "t".getBytes(StandardCharsets.UTF_8));
        e2b().exportE2BTemplate(sandbox, "t");
        DeploymentCreated created = Documents.read(e2b().deployE2BTemplate("t", "c", Map.of("strategy", "momentum")));
        assertId("dep", created.deploymentId());
        assertEquals("deployed", created.status());
        assertEquals("t", created.template());
        assertEquals("c", created.category());
        assertEquals(1, created.instances());
        assertEquals("momentum", created.configuration().get("strategy").textValue());
        String seen = e2b().executeE2BProcess(created.sandboxIds().getFirst(), "cat /opt/t; echo; echo $E2B_CONFIGURATION").output();
        assertEquals("t\n{\"strategy\":\"momentum\"}\n", seen);
    }

    @Test
    void aRecordAndATextAreConfigurationsToo() {
        DeploymentCreated created = e2b().deployE2BTemplate("base", "c", new Settings(2, "é", Map.of("COLOUR", "blue")));
        assertEquals(2, created.sandboxIds().size());
        for (String sandbox : created.sandboxIds()) {
            assertEquals("blue\n", e2b().executeE2BProcess(sandbox, "echo $COLOUR").output());
            assertEquals(created.deploymentId(), e2b().getE2BSandboxStatus(sandbox).deploymentId());
        }
        assertEquals(1, e2b().deployE2BTemplate("base", "c", "{\"instances\": 1}").instances());
    }

    @Test
    void badConfigurationsAreNamedAndLeaveNothing() {
        fails(E2BErrorCode.INVALID_ARGUMENT, "configuration", () -> e2b().deployE2BTemplate("base", "c", null));
        fails(E2BErrorCode.INVALID_ARGUMENT, "configuration", () -> e2b().deployE2BTemplate("base", "c", List.of()));
        fails(E2BErrorCode.INVALID_ARGUMENT, "configuration", () -> e2b().deployE2BTemplate("base", "c", Boolean.TRUE));
        fails(E2BErrorCode.INVALID_ARGUMENT, "configuration", () -> e2b().deployE2BTemplate("base", "c", "[]"));
        fails(E2BErrorCode.INVALID_ARGUMENT, "configuration.x", () -> e2b().deployE2BTemplate("base", "c", Map.of("x", Double.NaN)));
        fails(E2BErrorCode.INVALID_ARGUMENT, "configuration.instances", () -> e2b().deployE2BTemplate("base", "c", Map.of("instances", 0)));
        fails(E2BErrorCode.INVALID_ARGUMENT, "configuration.instances", () -> e2b().deployE2BTemplate("base", "c", Map.of("instances", "2")));
        fails(E2BErrorCode.INVALID_ARGUMENT, "category", () -> e2b().deployE2BTemplate("base", "", Map.of()));
        fails(E2BErrorCode.NOT_FOUND, () -> e2b().deployE2BTemplate("no-such", "c", Map.of()));
        assertEquals(0, e2b().listE2BSandboxes().totalCount());
    }

    @Test
    void aStartThatFailsIsRolledBack() {
        E2BException e = org.junit.jupiter.api.Assertions.assertThrows(
                E2BException.class, () -> e2b().deployE2BTemplate("base", "c", Map.of("instances", 3, "start_command", "exit 7")));
        assertTrue(e.code() != E2BErrorCode.INTERNAL, e.toString());
        assertEquals(0, e2b().listE2BSandboxes().totalCount());
    }

    @Test
    void scaleUpDownAndAway() {
        String deployment = e2b().deployE2BTemplate("base", "c", Map.of("instances", 1, "memory_mb", 32)).deploymentId();
        DeploymentScaled up = Documents.read(e2b().scaleE2BDeployment(deployment, 4));
        assertEquals("scaled", up.status());
        assertEquals(4, up.instances());
        assertEquals(1, up.previousInstances());
        assertEquals(4, new HashSet<>(up.sandboxIds()).size());
        assertTrue(up.failures().isEmpty());
        assertEquals(2, e2b().scaleE2BDeployment(deployment, 2, false).instances());
        assertEquals(2, e2b().listE2BSandboxes().totalCount());
        assertEquals("ended", Documents.read(e2b().scaleE2BDeployment(deployment, 0, null)).status());
        assertEquals(0, e2b().listE2BSandboxes().totalCount());
    }

    @Test
    void badScalesAreNamed() {
        String deployment = e2b().deployE2BTemplate("base", "c", Map.of()).deploymentId();
        fails(E2BErrorCode.INVALID_ARGUMENT, "instance_count", () -> e2b().scaleE2BDeployment(deployment, -1));
        fails(E2BErrorCode.INVALID_ARGUMENT, "instance_count", () -> e2b().scaleE2BDeployment(deployment, 100_000));
        fails(E2BErrorCode.INVALID_ARGUMENT, "auto_scale", () -> e2b().scaleE2BDeployment(deployment, 0, true));
        fails(E2BErrorCode.NOT_FOUND, "deployment_id", () -> e2b().scaleE2BDeployment("dep_none0000000000000000", 1));
    }
}
