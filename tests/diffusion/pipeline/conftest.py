"""A tiny Stable Diffusion or SDXL with an adapter."""

from __future__ import annotations

import pytest

from pipeline_cases import Case, make_case


@pytest.fixture(params=["sd", "sdxl"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def sdxl_case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case("sdxl", tmp_path_factory.mktemp("sdxl"))
