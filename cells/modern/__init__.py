"""Reference cells of the field, each with the source of its equations, and parallel forms of some of them."""

from cellcheck.cells.modern.gated_delta import GatedDelta
from cellcheck.cells.modern.gated_delta_chunks import GatedDeltaChunks
from cellcheck.cells.modern.gla import GLA
from cellcheck.cells.modern.min_gru import MinGRU
from cellcheck.cells.modern.min_lstm import MinLSTM
from cellcheck.cells.modern.mlstm import MLSTM
from cellcheck.cells.modern.mlstm_chunks import MLSTMChunks
from cellcheck.cells.modern.peephole_lstm import PeepholeLSTM
from cellcheck.cells.modern.projected_lstm import ProjectedLSTM
from cellcheck.cells.modern.rg_lru import RGLRU
from cellcheck.cells.modern.s6 import S6
from cellcheck.cells.modern.scan import MinGRUScan, RGLRUScan
from cellcheck.cells.modern.slstm import SLSTM

STEPS = [PeepholeLSTM, ProjectedLSTM, MinGRU, MinLSTM, RGLRU, SLSTM, MLSTM, S6, GLA, GatedDelta]
FORMS = [MinGRUScan, RGLRUScan, MLSTMChunks, GatedDeltaChunks]
MODERN = STEPS + FORMS

__all__ = ["FORMS", "MODERN", "STEPS", *(Cell.__name__ for Cell in MODERN)]
